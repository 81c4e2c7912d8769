"""SIPp's registrations and calls with sound pass the router's queue, and no packet gets lost in it.

How many it can take depends on the machine, and is measured by ``make bench``.
"""

from __future__ import annotations

import pytest

from siplab.lab.worlds.emulated.bubble import Bubble
from tools.bench import sipp

SMALL = 4


@pytest.mark.needs("emulated", "sipp", "kamailio")
@pytest.mark.parametrize(
    ("registrations", "calls"),
    [(20, SMALL), pytest.param(sipp.REGISTRATIONS, sipp.CALLS, marks=pytest.mark.deep)],
)
def test_no_packet_is_lost_in_the_queue(registrations: int, calls: int) -> None:
    with Bubble("tools.bench.sipp:task") as made:
        registered = made.call("registrations", registrations)
        called = made.call("calls", calls, calls, 2.0, True)
    assert (registered["known"], registered["status"], registered["problems"]) == (registrations, 0, [])
    # The counters of the kernel's queues are among the problems of a world that ends.
    assert (called["status"], called["problems"]) == (0, []), called["words"]
    assert called["media_packets"] > 2 * 50 * calls  # a second of sound at least, in both directions
