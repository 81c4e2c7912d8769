"""What became of a set of messages between two places: each as it was sent beside how it arrived.

The rules of this file:

- It compares what one side says it sent with what the other says it received; where they stand and what lies
  between them is not its business.
- A copy that arrived as it was sent proves that the way is open; a message is *missing* only when none of its
  copies arrived, and *strange* when nobody sent anything like it.
- Nothing here judges. A missing message may have been lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from siplab.lab.probing.probe_wire import kind_of, marks_of
from siplab.lab.wire.compare import differences
from siplab.lab.wire.ip import Endpoint


class SeenDatagram(NamedTuple):
    """One datagram at one end, all equal copies of it together.

    ``near`` is the client's endpoint (of what the reflector heard or sent: as the reflector knows it),
    ``port`` the reflector's port. ``first`` and ``last`` are in seconds of the clock of that end.
    """

    near: Endpoint
    port: int
    payload: bytes
    copies: int = 1
    first: float = 0.0
    last: float = 0.0
    far: Endpoint | None = None  # of what the client heard: whom it came from
    plain: bytes = b""  # the payload without what a proxy on the way may do to it; empty: the payload itself

    @property
    def text(self) -> bytes:
        """What is compared."""
        return self.plain or self.payload


@dataclass(frozen=True, slots=True)
class Transit:
    """One message and what became of it. ``outbound``: towards the reflector.

    ``sent`` is ``None`` for a strange message, ``arrived`` for a missing one.
    """

    outbound: bool
    kind: str
    sent: SeenDatagram | None
    arrived: SeenDatagram | None

    @property
    def changed(self) -> list[str]:
        """The names of the parts that are not as they were sent (``siplab.lab.wire.compare``)."""
        if self.sent is None or self.arrived is None:
            return []
        return differences(self.sent.text, self.arrived.text)

    @property
    def way(self) -> str:
        return "to the server" if self.outbound else "to the phone"

    @property
    def marks(self) -> tuple[bytes, ...]:
        datagram = self.sent or self.arrived
        return marks_of(datagram.payload) if datagram else ()


Marks = Callable[[bytes], tuple[bytes, ...]]
"""What of a datagram tells which one it is, the surest first."""


def compare(
    sent: Iterable[SeenDatagram], arrived: Iterable[SeenDatagram], *, outbound: bool, marks: Marks = marks_of
) -> list[Transit]:
    """Pair what was sent with what arrived: equal bytes first, then messages of one kind and mark."""
    sent, arrived = list(sent), list(arrived)
    by_bytes: dict[tuple[int, bytes], SeenDatagram] = {}
    for datagram in sent:
        by_bytes.setdefault((datagram.port, datagram.text), datagram)
    transits: list[Transit] = []
    reached: set[tuple[int, bytes]] = set()
    others: list[SeenDatagram] = []
    for datagram in arrived:
        key = (datagram.port, datagram.text)
        same = by_bytes.get(key)
        if same is None:
            others.append(datagram)
        else:
            reached.add(key)
            transits.append(Transit(outbound, kind_of(datagram.payload), same, datagram))
    open_ = [datagram for key, datagram in by_bytes.items() if key not in reached]
    used: set[int] = set()
    for datagram in others:
        kind, mine = kind_of(datagram.payload), marks(datagram.payload)
        best, score = None, 3
        for candidate in open_ or sent:
            theirs = marks(candidate.payload)
            common = len(set(mine).intersection(theirs))
            if candidate.port != datagram.port or not common:
                continue
            # The first mark (the topmost Via's) names the transaction, others perhaps only the dialog.
            points = common + 4 * (kind_of(candidate.payload) == kind) + 2 * (mine[0] == theirs[0])
            if points > score:
                best, score = candidate, points
        if best is not None:
            used.add(id(best))
        transits.append(Transit(outbound, kind, best, datagram))
    transits += [
        Transit(outbound, kind_of(datagram.payload), datagram, None)
        for datagram in open_
        if id(datagram) not in used
    ]
    return transits
