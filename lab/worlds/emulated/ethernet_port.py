"""A network card that plays several hosts at once, for a router at the other end of its cable.

The rules of this file:

- The kernel has no address on the card, so it answers nothing itself: no ICMP error, no RST. This file
  answers ARP (RFC 826) for the hosts' addresses.
- There is one router at the other end. All packets of the hosts go to it, whatever their destination.
- Every frame is kept, for a capture.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final, NamedTuple

from siplab.lab.errors import CapabilityError
from siplab.lab.wire import ip
from siplab.lab.worlds.emulated import namespaces as ns

_ETH_P_ALL: Final = 3
_IPV4, _ARP = b"\x08\x00", b"\x08\x06"
_ARP_HEAD: Final = b"\0\x01\x08\0\x06\x04"  # Ethernet, IPv4
_REQUEST, _REPLY = b"\0\x01", b"\0\x02"
_EVERYBODY: Final = b"\xff" * 6
_SOL_PACKET, _ADD_MEMBERSHIP, _PROMISCUOUS = 263, 1, 1  # linux/if_packet.h
_LARGEST: Final = 65536


class Frame(NamedTuple):
    """An Ethernet frame on the cable. ``now``: seconds since the epoch (time(2))."""

    now: float
    outbound: bool
    data: bytes


class EthernetPort:
    """The hosts' end of a cable. ``hosts``: the hosts' hardware addresses, by IPv4 address.

    Raises ``CapabilityError`` where the interface can't be opened. Call ``close()`` at the end.
    """

    def __init__(self, namespace: int, interface: str) -> None:
        with ns.inside(namespace):
            try:
                self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
                self._socket.bind((interface, _ETH_P_ALL))
                index = socket.if_nametoindex(interface)
            except OSError as error:
                raise CapabilityError(f"{interface}: {error.strerror}") from None
        membership = struct.pack("iHH8s", index, _PROMISCUOUS, 0, b"")
        self._socket.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, membership)
        self._socket.setblocking(False)
        self.hardware: bytes = self._socket.getsockname()[4]
        self.hosts: dict[str, bytes] = {}
        self.router = _EVERYBODY  # its hardware address, once known
        self.frames: list[Frame] = []

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def new_host(self) -> bytes:
        """A hardware address for one more host: the card's, then locally administered ones."""
        number = len(set(self.hosts.values()))
        return self.hardware if not number else b"\x02" + self.hardware[1:5] + bytes((number,))

    def add(self, hosts: Mapping[str, bytes]) -> None:
        """Give hosts their addresses."""
        self.hosts.update(hosts)

    def send(self, packet: bytes) -> None:
        """Send an IPv4 packet to the router, from the host that has its source address."""
        source = self.hosts.get(ip.unpack_ip(packet[12:16]), self.hardware)
        self._put(self.router + source + _IPV4 + packet)

    def broadcast(self, packet: bytes, source: bytes) -> None:
        """Send an IPv4 packet to everybody on the cable."""
        self._put(_EVERYBODY + source + _IPV4 + packet)

    def ask(self, address: str, own: str) -> None:
        """Ask who has an address. Whoever answers is taken for the router."""
        mine = self.hosts.get(own, self.hardware)
        target = b"\0" * 6 + socket.inet_aton(address)
        body = _ARP_HEAD + _REQUEST + mine + socket.inet_aton(own) + target
        self._put(_EVERYBODY + mine + _ARP + body)

    def read(self) -> Iterator[bytes]:
        """The IPv4 packets that arrived since the last call. Also answers ARP requests among the frames."""
        while True:
            try:
                data, address = self._socket.recvfrom(_LARGEST)
            except (BlockingIOError, OSError):
                return
            if address[2] == socket.PACKET_OUTGOING:
                continue
            self.frames.append(Frame(time.time(), False, data))
            if data[12:14] == _ARP and data[14:20] == _ARP_HEAD:
                self._arp(data[20:])
            elif data[12:14] == _IPV4 and len(data) > 34:
                yield data[14 : 14 + int.from_bytes(data[16:18], "big")]  # short frames are padded

    def _arp(self, body: bytes) -> None:
        kind, sender, target = body[:2], body[2:8], socket.inet_ntoa(body[18:22])
        mine = self.hosts.get(target)
        if mine is None:
            return
        if kind == _REPLY:
            self.router = sender
        elif kind == _REQUEST:
            answer = _ARP_HEAD + _REPLY + mine + body[18:22] + sender + body[8:12]
            self._put(sender + mine + _ARP + answer)

    def _put(self, frame: bytes) -> None:
        self.frames.append(Frame(time.time(), True, frame))
        with suppress(BlockingIOError):
            self._socket.send(frame)
