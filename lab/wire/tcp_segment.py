"""TCP segments: their numbers and options, and the RST for a segment of no known connection.

Rules: reading of options stops at the first malformed one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from siplab.lab.wire.ip import ACK, FIN, RST, SYN, Packet, tcp

IP_AND_TCP_HEADERS: Final = {4: 40, 6: 60}  # bytes, without options
DEFAULT_MSS: Final = {4: 536, 6: 1220}  # RFC 9293 section 3.7.1
MIN_MSS: Final = 64  # a peer that announces less must not make us send single bytes

NOP, MSS, WINDOW_SCALE, SACK_PERMITTED, SACK, TIMESTAMPS = 1, 2, 3, 4, 5, 8  # kinds of options


def near(number: int, reference: int) -> int:
    """The position closest to ``reference`` whose 32-bit sequence number is ``number``."""
    return reference + ((number - reference + 0x80000000) & 0xFFFFFFFF) - 0x80000000


def options_of(transport: bytes) -> Iterator[tuple[int, int, int]]:
    """Kind, offset and length of each TCP option; stops at the first malformed one."""
    at = 20
    while at < len(transport) and transport[at]:
        length = 1 if transport[at] == NOP else (transport[at + 1 : at + 2] or b"\0")[0]
        if length < (1 if transport[at] == NOP else 2) or at + length > len(transport):
            return
        yield transport[at], at, length
        at += length


def _option(transport: bytes, kind: int, length: int) -> int | None:
    """Value of an option as a number, if it is there with that length."""
    for found, at, size in options_of(transport):
        if (found, size) == (kind, length):
            return int.from_bytes(transport[at + 2 : at + size], "big")
    return None


def tsval_of(packet: Packet) -> int | None:
    """TSval of the timestamps option (RFC 7323 section 3)."""
    both = _option(packet.transport, TIMESTAMPS, 10)
    return None if both is None else both >> 32


def window_of(packet: Packet) -> int:
    return int.from_bytes(packet.transport[14:16], "big")


@dataclass(frozen=True, slots=True)
class Opening:
    """What a SYN announced."""

    isn: int
    size: int  # of its payload
    mss: int
    window: int
    scale: int | None
    tsval: int

    @classmethod
    def read(cls, packet: Packet) -> Opening:
        head = packet.transport
        mss = _option(head, MSS, 4)
        return cls(
            packet.seq,
            len(packet.payload),
            DEFAULT_MSS[packet.version] if mss is None else max(mss, MIN_MSS),
            window_of(packet),
            _option(head, WINDOW_SCALE, 3),
            tsval_of(packet) or 0,
        )


def length_of(packet: Packet) -> int:
    """How many sequence numbers a segment takes: SYN and FIN count as one byte each (RFC 9293 3.4)."""
    return len(packet.payload) + bool(packet.flags & SYN) + bool(packet.flags & FIN)


def reset(packet: Packet) -> bytes | None:
    """The RST about ``packet`` (RFC 9293 section 3.5.2); ``None`` about an RST."""
    if packet.flags & RST:
        return None
    if packet.flags & ACK:
        return tcp(packet.destination, packet.source, seq=packet.ack, flags=RST, window=0)
    ack = packet.seq + length_of(packet)
    return tcp(packet.destination, packet.source, ack=ack, flags=RST | ACK, window=0)
