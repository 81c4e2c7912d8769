"""Putting IPv4 fragments together again (RFC 791, RFC 4787 REQ-14).

Bounded in memory and in time: at most ``LIMIT`` datagrams wait, each for at most
``TIMEOUT`` seconds. Overlapping fragments end the datagram, as RFC 5722 asks for IPv6 and
Linux does for both. A fragment of which all bytes are there already is a duplicate, as in Linux.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from siplab.lab.wire.ip import MAX_PACKET, Packet, checksum

TIMEOUT: Final = 30.0
LIMIT: Final = 64


class _Place(Enum):
    """How a fragment's bytes relate to those that have come before."""

    FREE = auto()
    KNOWN = auto()
    OVERLAPPING = auto()


class _Datagram:
    __slots__ = ("deadline", "first_header", "pieces", "runs", "size", "total")

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.pieces: dict[int, bytes] = {}
        # Begin and end of each run of bytes that came in order. Linux compares a fragment with one run at a
        # time. So a fragment that repeats two pieces is a duplicate if they came in order, else an overlap.
        self.runs: list[tuple[int, int]] = []
        self.size = 0  # of all pieces
        self.first_header = b""
        self.total = -1

    @property
    def end(self) -> int:
        """The end of the bytes that have come."""
        return self.runs[-1][1] if self.runs else 0

    def place(self, begin: int, end: int) -> _Place:
        """Where these bytes belong; notes them where they are new."""
        for first, last in self.runs:
            if begin < last and first < end:
                return _Place.KNOWN if first <= begin and end <= last else _Place.OVERLAPPING
        if self.runs and begin == self.end:
            self.runs[-1] = self.runs[-1][0], end
        else:
            self.runs = sorted([*self.runs, (begin, end)])
        return _Place.FREE


class Reassembler:
    """Collects fragments; gives the whole packet when the last missing one arrives."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str, int, int], _Datagram] = {}

    def add(self, fragment: Packet, data: bytes, now: float) -> bytes | None:
        """Take one fragment in; returns the whole packet's bytes, or ``None`` while parts are missing."""
        for key in [key for key, each in self._waiting.items() if each.deadline <= now]:
            del self._waiting[key]
        key = (fragment.src, fragment.dst, fragment.protocol, fragment.identification)
        waiting = self._waiting.get(key)
        if waiting is None:
            if len(self._waiting) >= LIMIT:
                del self._waiting[next(iter(self._waiting))]
            waiting = self._waiting[key] = _Datagram(now + TIMEOUT)
        offset = fragment.fragment_offset
        body = data[len(fragment.header) : int.from_bytes(data[2:4], "big")]
        if not self._insert(waiting, offset, body, fragment):
            del self._waiting[key]
            return None
        if waiting.size != waiting.total:
            return None
        del self._waiting[key]
        payload = b"".join(piece for _, piece in sorted(waiting.pieces.items()))
        header = waiting.first_header
        size = len(header) + len(payload)
        if size > MAX_PACKET:
            return None
        head = b"".join((header[:2], size.to_bytes(2, "big"), header[4:6], b"\0\0", header[8:10]))
        addresses = header[12:]
        return b"".join((head, checksum(head + addresses).to_bytes(2, "big"), addresses, payload))

    @staticmethod
    def _insert(waiting: _Datagram, offset: int, body: bytes, fragment: Packet) -> bool:
        """Store a piece; ``False`` when it contradicts what is there."""
        if fragment.more_fragments:
            body = body[: len(body) // 8 * 8]  # the next fragment can only begin at a multiple of 8
        end = offset + len(body)
        if not body:
            return False
        if fragment.more_fragments:
            if 0 <= waiting.total < end:
                return False
        elif waiting.total not in (-1, end) or waiting.end > end:
            return False
        else:
            waiting.total = end
        place = waiting.place(offset, end)
        if place is not _Place.FREE:
            return place is _Place.KNOWN
        if offset == 0:
            waiting.first_header = fragment.header
        waiting.pieces[offset] = body
        waiting.size += len(body)
        return True
