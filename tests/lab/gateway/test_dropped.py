"""A packet that the ALG drops opens no way back: its destination does not become a peer of the binding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from siplab.lab.gateway.fate import Fate
from siplab.lab.gateway.gateway import Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint

PHONE, SERVER, PUBLIC = (
    Endpoint(*each) for each in (("192.168.1.20", 5060), ("198.51.100.10", 5060), ("203.0.113.7", 1024))
)
GOOD = b"OPTIONS sip:198.51.100.10 SIP/2.0\r\nCSeq: 1 OPTIONS\r\n\r\n"
BAD = b"BREW sip:198.51.100.10 SIP/2.0\r\nCSeq: 1 BREW\r\n\r\n"
OUT = ip.udp(PHONE, SERVER, GOOD)
BAD_OUT = ip.udp(PHONE, SERVER, BAD)
BACK = ip.udp(SERVER, PUBLIC, GOOD)


def choosy(message: Any, context: Any) -> None:
    if message.method == b"BREW":
        context.drop("no coffee")


def test_nobody_answers_what_never_left(new_router: Callable[..., Any], acting_model: Any) -> None:
    router = new_router(acting_model(choosy), port_allocation="sequential")
    assert router.end(BAD_OUT, Side.INSIDE) == (Fate.DROPPED_BY_MODEL, "no coffee")
    assert router.fate(BACK, Side.OUTSIDE) is Fate.FILTERED
    # The phone's next packet does leave, by the same public port as before.
    assert router.crossed(OUT, Side.INSIDE).source == PUBLIC
    assert router.crossed(BACK, Side.OUTSIDE).destination == PHONE


def test_a_peer_that_was_met_stays_one(new_router: Callable[..., Any], acting_model: Any) -> None:
    router = new_router(acting_model(choosy), port_allocation="sequential")
    router.crossed(OUT, Side.INSIDE)
    for _ in range(2):
        assert router.end(BAD_OUT, Side.INSIDE) == (Fate.DROPPED_BY_MODEL, "no coffee")
        assert router.end(ip.udp(SERVER, PUBLIC, BAD), Side.OUTSIDE) == (Fate.DROPPED_BY_MODEL, "no coffee")
        assert router.crossed(BACK, Side.OUTSIDE).destination == PHONE
