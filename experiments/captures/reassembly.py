"""Puts fragments of IPv4 and IPv6 together, so that packets are as their receiver saw them."""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from siplab.lab.gateway.fragments import Reassembler
from siplab.lab.wire import ip
from siplab.lab.wire.ip import MalformedPacketError, Packet

_FRAGMENT: Final = 44  # the header of RFC 8200 section 4.5
_MOST: Final = 64  # incomplete datagrams that are kept


class Fragments:
    """The fragments at one tap. ``waiting``: fragments of datagrams that are not complete yet."""

    def __init__(self) -> None:
        self.waiting = 0
        self._ipv4 = Reassembler()
        self._ipv6: OrderedDict[tuple[int, str, str], _Ipv6Datagram] = OrderedDict()
        self._counts: dict[object, int] = {}

    @staticmethod
    def is_fragment(packet: Packet) -> bool:
        return packet.is_fragment or packet.protocol == _FRAGMENT

    def add(self, packet: Packet, data: bytes, now: float) -> bytes | None:
        """Take one fragment. The last one returns the whole packet. Raises ``MalformedPacketError``."""
        if packet.version == 4:
            key: object = (packet.src, packet.dst, packet.protocol, packet.identification)
            whole = self._ipv4.add(packet, data, now)
        else:
            key, whole = self._add_ipv6(packet)
        self._counts[key] = self._counts.get(key, 0) + 1
        self.waiting += 1
        if whole is not None:
            self.waiting -= self._counts.pop(key)
        return whole

    def _add_ipv6(self, packet: Packet) -> tuple[object, bytes | None]:
        if len(packet.payload) < 8:
            raise MalformedPacketError("truncated IPv6 fragment header")
        kind, place, number = struct.unpack_from("!BxHI", packet.payload)
        key = number, packet.src, packet.dst
        waiting = self._ipv6.setdefault(key, _Ipv6Datagram())
        if len(self._ipv6) > _MOST:
            self._ipv6.popitem(last=False)
        body = waiting.add(place & ~7, packet.payload[8:], last=not place & 1)
        if body is None:
            return key, None
        del self._ipv6[key]
        header = bytearray(packet.header)
        header[_last_next_header(packet.header)] = kind
        header[4:6] = (len(header) - 40 + len(body)).to_bytes(2, "big")
        return key, bytes(header) + body


class _Ipv6Datagram:
    """The pieces of one datagram."""

    def __init__(self) -> None:
        self._pieces: dict[int, bytes] = {}
        self._size = 0
        self._end = -1

    def add(self, at: int, piece: bytes, *, last: bool) -> bytes | None:
        """Take one piece. Returns the whole datagram once no byte is missing."""
        if at not in self._pieces:
            self._pieces[at] = piece
            self._size += len(piece)
        if last:
            self._end = at + len(piece)
        if self._size != self._end or self._size > ip.MAX_PACKET:
            return None
        whole = b"".join(piece for _, piece in sorted(self._pieces.items()))
        return whole if all(at + len(each) == end for at, each, end in self._edges()) else None

    def _edges(self) -> Iterator[tuple[int, bytes, int]]:
        """Each piece, with the position at which the next one begins."""
        places = sorted(self._pieces)
        for at, end in zip(places, [*places[1:], self._end], strict=True):
            yield at, self._pieces[at], end


def _last_next_header(header: bytes) -> int:
    """The offset of the field that says what follows the header and its extensions."""
    at, behind = 6, 40
    while behind < len(header):
        at, behind = behind, behind + (header[behind + 1] + 1) * 8
    return at
