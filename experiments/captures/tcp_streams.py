"""Reads SIP messages from a capture's TCP segments: split, several in one segment, out of order.

A capture may begin in the middle of a connection, and may miss segments. After a gap, reading goes on at the
next line that begins a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from siplab.experiments.captures.left_out import LeftOut, LeftOutReason
from siplab.lab.wire.ip import SYN, Endpoint, Packet
from siplab.lab.wire.sip import split_stream
from siplab.lab.wire.tcp_segment import near

_START: Final = re.compile(rb"(?:\A|(?<=\n))(?:SIP/2\.0 \d{3} |[A-Z]{3,20} [^\s]{1,500} SIP/2\.0\r?\n)")
_TLS: Final = re.compile(rb"[\x14-\x17]\x03[\x00-\x04]")


class _Segment(NamedTuple):
    at: int  # position in the stream
    now: float
    payload: bytes


@dataclass
class _Stream:
    """One direction of a connection."""

    tap: str
    source: Endpoint
    destination: Endpoint
    begin: int
    segments: list[_Segment] = field(default_factory=list)


class StreamMessage(NamedTuple):
    """A message. ``now``: when it was complete."""

    now: float
    tap: str
    source: Endpoint
    destination: Endpoint
    payload: bytes


class TcpStreams:
    """The streams of a capture."""

    def __init__(self) -> None:
        self._streams: list[_Stream] = []
        self._latest: dict[tuple[str, Endpoint, Endpoint], _Stream] = {}

    def add(self, tap: str, packet: Packet, now: float) -> None:
        """Take a segment."""
        key = tap, packet.source, packet.destination
        stream = self._latest.get(key)
        begins = bool(packet.flags & SYN)
        if begins or stream is None:
            if not begins and not packet.payload:
                return
            begin = (packet.seq + begins) & 0xFFFFFFFF
            if stream is None or stream.begin != begin:  # otherwise the SYN was sent again
                stream = self._latest[key] = _Stream(tap, packet.source, packet.destination, begin)
                self._streams.append(stream)
        if packet.payload:
            last = stream.segments[-1].at if stream.segments else stream.begin
            at = near((packet.seq + begins) & 0xFFFFFFFF, last)
            stream.segments.append(_Segment(at, now, packet.payload))

    def messages(self, left_out: LeftOut) -> Iterator[StreamMessage]:
        """The SIP messages of all streams. In streams with SIP, anything that is no message is counted."""
        for stream in self._streams:
            for run in _runs(stream.segments):
                yield from _in_run(stream, run, left_out)


def _runs(segments: list[_Segment]) -> Iterator[list[_Segment]]:
    """The parts of a stream that have no gap, each byte once."""
    run: list[_Segment] = []
    end = 0
    for each in sorted(segments, key=lambda each: each.at):
        if run and each.at > end:
            yield run
            run = []
        fresh = each if not run else each._replace(at=end, payload=each.payload[end - each.at :])
        if fresh.payload:
            run.append(fresh)
            end = fresh.at + len(fresh.payload)
    if run:
        yield run


def _in_run(stream: _Stream, run: list[_Segment], left_out: LeftOut) -> Iterator[StreamMessage]:
    data = b"".join(each.payload for each in run)
    if _TLS.match(data):
        left_out.count(LeftOutReason.ENCRYPTED, len(run))
        return
    found = _START.search(data)
    if found is None:
        return
    left_out.count(LeftOutReason.TCP_INCOMPLETE, bool(data[: found.start()].strip()))
    ends: list[tuple[int, float]] = []
    latest = 0.0
    at = 0
    for each in run:
        at += len(each.payload)
        latest = max(latest, each.now)
        ends.append((at, latest))
    position = found.start()
    next_end = iter(ends)
    end, now = next(next_end)
    for piece, complete in split_stream(data[position:]):
        position += len(piece)
        if not piece.strip():
            continue
        if not complete or _START.match(piece) is None:
            left_out.count(LeftOutReason.TCP_INCOMPLETE)
            continue
        while end < position:
            end, now = next(next_end)
        yield StreamMessage(now, stream.tap, stream.source, stream.destination, piece)
