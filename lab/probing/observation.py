"""What became of a set of messages between two places: each message as sent and as it arrived.

The rules of this file:

- It compares what one side sent with what the other received. It does not need to know where the sides are
  and what is between them.
- A copy that arrived unchanged proves that the way is open. A message is *missing* only if none of its copies
  arrived, and *strange* if nobody sent a similar one.
- This file draws no conclusions. A missing message may simply be lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from siplab.lab.probing.probe_wire import kind_of, marks_of
from siplab.lab.wire.compare import differences
from siplab.lab.wire.ip import Endpoint


class SeenDatagram(NamedTuple):
    """One datagram at one end, together with all equal copies.

    ``near``: the client's endpoint, as the end that saw the datagram knows it. ``port``: the reflector's
    port. ``first`` and ``last``: seconds on the clock of that end.
    """

    near: Endpoint
    port: int
    payload: bytes
    copies: int = 1
    first: float = 0.0
    last: float = 0.0
    far: Endpoint | None = None  # for the client's received datagrams, the sender
    plain: bytes = b""  # the payload without changes by a proxy on the way; empty: the payload itself

    @property
    def text(self) -> bytes:
        """The bytes that are compared."""
        return self.plain or self.payload


@dataclass(frozen=True, slots=True)
class Transit:
    """One message and what became of it. ``outbound``: towards the reflector.

    ``sent`` is ``None`` for a strange message, ``arrived`` is ``None`` for a missing one.
    """

    outbound: bool
    kind: str
    sent: SeenDatagram | None
    arrived: SeenDatagram | None

    @property
    def changed(self) -> list[str]:
        """The names of the parts that arrived changed (``siplab.lab.wire.compare``)."""
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


_MOST_MARKS: Final = 16
_MOST_ALIKE: Final = 64

Marks = Callable[[bytes], tuple[bytes, ...]]
"""The marks of a datagram, which identify it; the most certain first."""


def compare(
    sent: Iterable[SeenDatagram], arrived: Iterable[SeenDatagram], *, outbound: bool, marks: Marks = marks_of
) -> list[Transit]:
    """Pair sent datagrams with arrived ones: equal bytes first, then messages with the same kind and mark."""
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
    index = _Index(open_ or sent, marks)
    for datagram in others:
        kind = kind_of(datagram.payload)
        best = index.nearest(datagram, kind)
        if best is not None:
            used.add(id(best))
        transits.append(Transit(outbound, kind, best, datagram))
    transits += [
        Transit(outbound, kind_of(datagram.payload), datagram, None)
        for datagram in open_
        if id(datagram) not in used
    ]
    return transits


class _Index:
    """Datagrams by their ports and marks.

    A remote side may have written anything. So the marks per datagram and the datagrams per mark are limited:
    the work grows only linearly with the number of datagrams.
    """

    def __init__(self, datagrams: Iterable[SeenDatagram], marks: Marks) -> None:
        self._marks = marks
        self._entries: list[_Entry] = []
        self._rows: dict[tuple[int, bytes], list[int]] = {}
        for datagram in datagrams:
            own = marks(datagram.payload)[:_MOST_MARKS]
            if not own:
                continue
            for mark in dict.fromkeys(own):
                row = self._rows.setdefault((datagram.port, mark), [])
                if len(row) < _MOST_ALIKE:
                    row.append(len(self._entries))
            self._entries.append(_Entry(datagram, kind_of(datagram.payload), own[0]))

    def nearest(self, datagram: SeenDatagram, kind: str) -> SeenDatagram | None:
        """The datagram that has most in common with another one of that kind; ``None`` if too little."""
        mine = self._marks(datagram.payload)[:_MOST_MARKS]
        common: Counter[int] = Counter()
        for mark in dict.fromkeys(mine):
            common.update(self._rows.get((datagram.port, mark), ()))
        best, score = None, 3
        for number in sorted(common):
            each = self._entries[number]
            # The first mark (in the topmost Via) identifies the transaction; others may identify only the
            # dialog.
            points = common[number] + 4 * (each.kind == kind) + 2 * (mine[0] == each.first_mark)
            if points > score:
                best, score = each.datagram, points
        return best


class _Entry(NamedTuple):
    datagram: SeenDatagram
    kind: str
    first_mark: bytes
