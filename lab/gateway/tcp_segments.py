"""What the editor in ``tcp.py`` does to TCP segments; every function takes and returns packets."""

from __future__ import annotations

import struct
from dataclasses import replace

from siplab.lab.wire.ip import FIN, PSH, Packet, parse, tcp
from siplab.lab.wire.tcp_segment import NOP, SACK_PERMITTED, TIMESTAMPS, options_of, tsval_of


def without_sack(packet: Packet) -> Packet:
    """A SYN with NOPs in the place of SACK-permitted."""
    head = packet.transport
    for kind, at, length in options_of(head):
        if kind == SACK_PERMITTED:
            head = head[:at] + bytes((NOP,)) * length + head[at + length :]
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
    """A pure ACK to the sender of ``packet``, from the endpoint that ``packet`` was going to."""
    options = b""
    echo = tsval_of(packet)
    if echo is not None:  # once agreed on, every segment has timestamps (RFC 7323 section 3.2)
        options = struct.pack("!BBBBII", NOP, NOP, TIMESTAMPS, 10, tsval & 0xFFFFFFFF, echo)
    return parse(tcp(packet.destination, packet.source, seq=seq, ack=ack, window=window, options=options))
