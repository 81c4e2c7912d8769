"""A tap on a router whose kernel does the work: what entered and left, and which packet became which.

One packet socket sees every interface of the router's namespace, so its order is the kernel's. The kernel
forwards packets one after the other, keeps the IPv4 identification and decrements the TTL. So a packet that
leaves belongs to the latest one that entered with the same identification and a TTL higher by one. A packet
that leaves and belongs to none was made by the router itself (an ICMP error).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from siplab.lab.gateway.fate import Fate
from siplab.lab.gateway.sides import Emission, Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import MalformedPacketError, Packet
from siplab.lab.worlds.emulated import namespaces as ns
from siplab.lab.worlds.trace import Passage

# linux/if_ether.h, linux/if_packet.h, asm-generic/socket.h, linux/udp.h
_ETH_P_ALL: Final = 3
_ETH_P_IP: Final = 0x0800
_ETH_P_IPV6: Final = 0x86DD
_SOL_PACKET: Final = 263
_PACKET_STATISTICS: Final = 6
_SO_RCVBUFFORCE: Final = 33
_BUFFER: Final = 16 * 1024 * 1024
_SO_TIMESTAMPNS: Final = 35
_STAMP: Final = struct.Struct("qq")  # struct timespec
_ROOM: Final = socket.CMSG_SPACE(_STAMP.size)
# How many of the latest packets are searched for the one that caused a leaving packet.
_MEMORY: Final = 256


class Seen(NamedTuple):
    """A packet at one of the router's interfaces."""

    side: Side
    leaving: bool
    packet: bytes


class Tap:
    """Sees all IP packets of a router. ``sides``: the side of each interface."""

    def __init__(self, namespace: int, sides: Mapping[str, Side]) -> None:
        self._sides = sides
        with ns.inside(namespace):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
        self._socket.setblocking(False)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        except PermissionError:  # in a user namespace the host's limit applies
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)

    def fileno(self) -> int:
        return self._socket.fileno()

    def stamp(self) -> None:
        """Have the kernel record when each packet passed, for ``read_stamped``."""
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)

    def read_stamped(self) -> Iterator[tuple[float, Seen]]:
        """As ``read``, with the time of day (seconds) at which each packet passed."""
        for row in iter(self._next, None):
            seen = self._seen(row[0], row[1])
            if seen is not None:
                yield row[2], seen

    def _next(self) -> tuple[bytes, tuple[Any, ...], float] | None:
        try:
            data, more, _, address = self._socket.recvmsg(ip.MAX_PACKET, _ROOM)
        except BlockingIOError:
            return None
        seconds = 0.0
        for level, kind, value in more:
            if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS) and len(value) == _STAMP.size:
                whole, nanoseconds = _STAMP.unpack(value)
                seconds = whole + nanoseconds / 1e9
        return data, address, seconds

    def read(self) -> Iterator[Seen]:
        """The packets since the last call, in the kernel's order."""
        while True:
            try:
                data, address = self._socket.recvfrom(ip.MAX_PACKET)
            except BlockingIOError:
                return
            seen = self._seen(data, address)
            if seen is not None:
                yield seen

    def _seen(self, data: bytes, address: tuple[Any, ...]) -> Seen | None:
        interface, protocol, kind = address[:3]
        side = self._sides.get(interface)
        if side is None or protocol not in (_ETH_P_IP, _ETH_P_IPV6):
            return None
        if kind not in (socket.PACKET_HOST, socket.PACKET_OUTGOING):
            return None
        return Seen(side, kind == socket.PACKET_OUTGOING, data)

    def missed(self) -> int:
        """How many packets did not fit in the socket's buffer since the last call."""
        counters = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        return int(struct.unpack("II", counters)[1])

    def close(self) -> None:
        self._socket.close()


class Pairing:
    """Makes passages from the packets that a tap saw at one gateway."""

    def __init__(self, gateway: str) -> None:
        self._gateway = gateway
        self._recent: list[tuple[Passage, Packet | None]] = []

    def add(self, seen: Seen, now: float) -> Passage | None:
        """Take a packet; returns a new passage if the packet entered the gateway, else ``None``."""
        packet = _parsed(seen.packet)
        if not seen.leaving:
            passage = Passage(now, self._gateway, seen.side, seen.packet, [])
            self._recent.append((passage, packet))
            del self._recent[:-_MEMORY]
            return passage
        for passage, entered in reversed(self._recent):
            if packet is not None and entered is not None and _same(entered, packet):
                whole = not (packet.is_fragment or entered.is_fragment)
                changed = whole and packet.payload != entered.payload
                passage.emissions.append(Emission(seen.side, seen.packet, changed=changed))
                return None
        if self._recent:
            self._recent[-1][0].emissions.append(
                Emission(seen.side, seen.packet, Fate.MADE_BY_KERNEL, originated=True)
            )
        return None


def account(passage: Passage) -> None:
    """If a passage's packet never left, add an emission that says so."""
    if not passage.emissions:
        packet = _parsed(passage.packet)
        kept = packet is not None and packet.is_fragment
        fate = Fate.FRAGMENT_KEPT if kept else Fate.DROPPED_BY_KERNEL
        passage.emissions.append(Emission(None, passage.packet, fate))


def _parsed(data: bytes) -> Packet | None:
    try:
        return ip.parse(data)
    except MalformedPacketError:
        return None


def _same(entered: Packet, left: Packet) -> bool:
    """Whether a packet that left is the one that entered, one hop later."""
    return (
        entered.version == left.version
        and entered.protocol == left.protocol
        and entered.ttl == left.ttl + 1
        and (entered.src == left.src or entered.dst == left.dst or _turned(entered, left))
        and (entered.version == 6 or entered.identification == left.identification)
    )


def _turned(entered: Packet, left: Packet) -> bool:
    """The same for a hairpinned packet: both addresses may have changed, but at most one port."""
    return entered.sport == left.sport or entered.dport == left.dport
