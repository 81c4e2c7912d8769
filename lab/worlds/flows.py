"""Media in worlds with a virtual clock: packets at a steady pace, most of which need not be carried.

The rules of this file:

- A packet of a flow is carried when it is due, like any other datagram.
- When the same became of two packets in a row, and nothing but media has happened since and the flow did not
  pause, the same becomes of all packets up to the *horizon*, and they are skipped. The horizon is the
  earliest of these: the next timer of an agent, the end of the waiting, the next moment at which a gateway
  forgets something. The last packet before the horizon is carried again, so that it refreshes bindings.
- On networks with loss or delay, each packet has a fate of its own: ``impaired_flows.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from siplab.lab.sip.base import Flow, Train
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.forwarding import Arrival, Delivery

# Tolerance in seconds, for comparing times that are sums of steps of 20 ms.
_SLACK: Final = 1e-6

Fate = tuple[Endpoint | None, tuple[tuple[type, Endpoint, Endpoint], ...]]


@dataclass
class _Known:
    """What became of the latest packet of a flow.

    ``twice``: the same became of the packet before it. ``event``: the world's event number at that time.
    ``next_due``: when the next packet is due, in seconds.
    """

    fate: Fate | None = None
    twice: bool = False
    event: int = -1
    next_due: float | None = None


class FlowKeeper:
    """The flows of one world. The world increments ``event`` when anything but media happens."""

    def __init__(self) -> None:
        self.event = 0
        self._known: dict[int, tuple[Flow, _Known]] = {}
        self._passed: dict[tuple[Endpoint, Endpoint], _Known] = {}  # flows that agents pass on

    def skip(
        self,
        flow: Flow,
        horizon: Callable[[], float],
        onward: Callable[[Delivery], tuple[Endpoint, Endpoint] | None] = lambda delivery: None,
    ) -> tuple[Train, list[Delivery]] | None:
        """Skip the packets of which the same becomes as of the latest one.

        Returns the skipped train, and the deliveries of the latest packet: the first where it arrives, the
        others where relaying agents send it on (``onward`` says to where). Returns ``None`` when the next
        packet must be carried.
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
        """All deliveries of a packet with that fate; ``None`` if they are not all certain."""
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
        # The flow is kept beside what is known of it, so that no other object gets the same id.
        kept = self._known.get(id(flow))
        if kept is None:
            kept = self._known[id(flow)] = flow, _Known()
        return kept[1]
