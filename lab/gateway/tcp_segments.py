"""TCP segments for the editor in ``tcp.py``: their numbers and options, read and made.

Rules: an option that makes no sense ends the reading, and nothing is changed behind it; every
function is one from packet to packet.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from lab.wire.ip import FIN, PSH, Packet, parse, tcp

DEFAULT_MSS: Final = {4: 536, 6: 1220}  # RFC 9293 section 3.7.1
MIN_MSS: Final = 64  # a peer that announces less must not make us send single bytes

_NOP, _MSS, _WINDOW_SCALE, _SACK_PERMITTED, _TIMESTAMPS = 1, 2, 3, 4, 8


def near(number: int, reference: int) -> int:
    """The position closest to ``reference`` whose 32-bit sequence number is ``number``."""
    return reference + ((number - reference + 0x80000000) & 0xFFFFFFFF) - 0x80000000


def _options(transport: bytes) -> Iterator[tuple[int, int, int]]:
    """Kind, offset and length of each TCP option; stops at the first that makes no sense."""
    at = 20
    while at < len(transport) and transport[at]:
        length = 1 if transport[at] == _NOP else (transport[at + 1 : at + 2] or b"\0")[0]
        if length < (1 if transport[at] == _NOP else 2) or at + length > len(transport):
            return
        yield transport[at], at, length
        at += length


def _option(transport: bytes, kind: int, length: int) -> int | None:
    """Value of an option as a number, if it is there with that length."""
    for found, at, size in _options(transport):
        if (found, size) == (kind, length):
            return int.from_bytes(transport[at + 2 : at + size], "big")
    return None


def tsval_of(packet: Packet) -> int | None:
    """TSval of the timestamps option (RFC 7323 section 3)."""
    both = _option(packet.transport, _TIMESTAMPS, 10)
    return None if both is None else both >> 32


def window_of(packet: Packet) -> int:
    return int.from_bytes(packet.transport[14:16], "big")


@dataclass(frozen=True, slots=True)
class Opening:
    """What a SYN said."""

    isn: int
    size: int  # of its payload
    mss: int
    window: int
    scale: int | None
    tsval: int

    @classmethod
    def read(cls, packet: Packet) -> Opening:
        head = packet.transport
        mss = _option(head, _MSS, 4)
        return cls(
            packet.seq,
            len(packet.payload),
            DEFAULT_MSS[packet.version] if mss is None else max(mss, MIN_MSS),
            window_of(packet),
            _option(head, _WINDOW_SCALE, 3),
            tsval_of(packet) or 0,
        )


def without_sack(packet: Packet) -> Packet:
    """A SYN with NOPs in the place of SACK-permitted."""
    head = packet.transport
    for kind, at, length in _options(head):
        if kind == _SACK_PERMITTED:
            head = head[:at] + bytes((_NOP,)) * length + head[at + length :]
    return replace(packet, transport=head)


def segments(packet: Packet, start: int, data: bytes, fin: bool, ack: int, limit: int) -> list[Packet]:
    """``data`` in segments like ``packet``; PSH and FIN only on the last."""
    made: list[Packet] = []
    for at in range(0, len(data) or 1, limit):
        rest = len(data) - at > limit
        flags = packet.flags & ~(PSH | FIN) if rest else packet.flags & ~FIN | (FIN if fin else 0)
        made.append(packet.with_(seq=start + at, ack=ack, payload=data[at : at + limit], flags=flags))
    return made


def acknowledgement(packet: Packet, seq: int, ack: int, window: int, tsval: int) -> Packet:
    """A pure ACK to the sender of ``packet``, from where that was going."""
    options = b""
    echo = tsval_of(packet)
    if echo is not None:  # once agreed on, every segment has timestamps (RFC 7323 section 3.2)
        options = struct.pack("!BBBBII", _NOP, _NOP, _TIMESTAMPS, 10, tsval & 0xFFFFFFFF, echo)
    return parse(tcp(packet.destination, packet.source, seq=seq, ack=ack, window=window, options=options))
