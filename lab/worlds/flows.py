"""Media in worlds with a virtual clock: packets at a steady pace, most of which need not be carried.

The rules of this file:

- A packet of a flow is carried when it is due, like any other datagram.
- When two in a row had the same fate and neither a pause nor anything else has come since, the packets
  up to the *horizon* have it too: the next timer of an agent, the end of the waiting, and the next moment
  at which a gateway forgets something. The last packet before the horizon is carried again, so that
  bindings are refreshed as they would have been.
- On networks with loss or delay each packet has a fate of its own: ``impaired_flows.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from siplab.lab.sip.base import Flow, Train
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.forwarding import Arrival, Delivery

# Comparing times that were added up in steps of 20 ms.
_SLACK: Final = 1e-6

Fate = tuple[Endpoint | None, tuple[tuple[type, Endpoint, Endpoint], ...]]


@dataclass
class _Known:
    """What became of the latest packet of a flow, whether of the one before too, after which event, and when
    the next packet is due.
    """

    fate: Fate | None = None
    twice: bool = False
    event: int = -1
    next_due: float | None = None


class FlowKeeper:
    """The flows of one world. ``event`` is raised by the world when anything but media happens."""

    def __init__(self) -> None:
        self.event = 0
        self._known: dict[int, tuple[Flow, _Known]] = {}
        self._passed: dict[tuple[Endpoint, Endpoint], _Known] = {}  # by agents that pass flows on

    def skip(
        self,
        flow: Flow,
        horizon: Callable[[], float],
        onward: Callable[[Delivery], tuple[Endpoint, Endpoint] | None] = lambda delivery: None,
    ) -> tuple[Train, list[Delivery]] | None:
        """Pass over what shares the latest packet's fate.

        Returns the train and the latest packet's deliveries: where it arrives, and where those bring it who
        pass it on (``onward`` says so). ``None`` when the next packet must be carried.
        """
        known = self._of(flow)
        if not known.twice or known.event != self.event or not flow.steady or flow.next_due is None:
            return None
        if known.fate is None or known.fate[0] != flow.remote:
            return None
        if known.next_due != flow.next_due:
            return None  # a pause, in which a gateway may have forgotten the flow
        deliveries = self._deliveries(known.fate, onward)
        if deliveries is None:
            return None
        room = (horizon() - flow.next_due - _SLACK) / flow.interval
        count = math.floor(room) if room < 1e9 else 0
        if flow.left is not None:
            count = min(count, flow.left - 1)
        if count <= 0:
            return None
        train = flow.skip(count)
        known.next_due = flow.next_due
        return train, deliveries

    def _deliveries(
        self, fate: Fate, onward: Callable[[Delivery], tuple[Endpoint, Endpoint] | None]
    ) -> list[Delivery] | None:
        """All deliveries of a packet with that fate; ``None`` while not all of them are known for sure."""
        found: list[Delivery] = []
        while len(fate[1]) == 1 and fate[1][0][0] is Delivery:
            delivery = Delivery(fate[1][0][1], fate[1][0][2], b"")
            if delivery in found:
                return None  # relays that send to each other
            found.append(delivery)
            link = onward(delivery)
            if link is None:
                break
            known = self._passed.get(link)
            if known is None or known.fate is None or not known.twice or known.event != self.event:
                return None
            fate = known.fate
        return found

    def carried(self, flow: Flow, remote: Endpoint, arrivals: Sequence[Arrival]) -> None:
        """Note what became of a packet."""
        known = self._of(flow)
        self._note(known, remote, arrivals)
        known.next_due = flow.next_due

    def passed(self, local: Endpoint, remote: Endpoint, arrivals: Sequence[Arrival]) -> None:
        """Note what became of a packet that an agent passed on."""
        known = self._passed.get((local, remote))
        if known is None:
            known = self._passed[local, remote] = _Known()
        self._note(known, remote, arrivals)

    def _note(self, known: _Known, remote: Endpoint, arrivals: Sequence[Arrival]) -> None:
        fate: Fate = (remote, tuple((type(each), each[0], each[1]) for each in arrivals))
        known.twice = known.event == self.event and known.fate == fate
        known.fate, known.event = fate, self.event

    def _of(self, flow: Flow) -> _Known:
        # The flow is kept beside what is known of it, so that its id stays its own.
        kept = self._known.get(id(flow))
        if kept is None:
            kept = self._known[id(flow)] = flow, _Known()
        return kept[1]
