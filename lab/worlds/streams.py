"""SIP messages from the TCP segments of a trace, reassembled at each tap as a receiver there would do it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from siplab.lab.wire.ip import SYN, Endpoint, Packet
from siplab.lab.wire.sip import split_stream
from siplab.lab.wire.tcp_segment import near


@dataclass
class _Stream:
    expected: int  # position of the next byte
    begun: bytes = b""
    ahead: dict[int, bytes] = field(default_factory=dict)


class TapStreams:
    """The TCP streams at all taps: one per direction of a connection, separately for entering and leaving."""

    def __init__(self) -> None:
        self._streams: dict[tuple[str, bool, Endpoint, Endpoint], _Stream] = {}

    def add(self, tap: str, leaving: bool, packet: Packet) -> Iterator[bytes]:
        """Take a segment; yields the messages that it completes."""
        key = (tap, leaving, packet.source, packet.destination)
        if packet.flags & SYN:
            self._streams[key] = _Stream(packet.seq + 1)
            return
        if not packet.payload:
            return
        stream = self._streams.setdefault(key, _Stream(packet.seq))
        stream.ahead[near(packet.seq, stream.expected)] = packet.payload
        while (at := min(stream.ahead, default=None)) is not None and at <= stream.expected:
            fresh = stream.ahead.pop(at)[stream.expected - at :]
            stream.expected += len(fresh)
            stream.begun += fresh
        for piece, complete in list(split_stream(stream.begun)):
            if complete:
                stream.begun = stream.begun[len(piece) :]
                if piece.strip():
                    yield piece
