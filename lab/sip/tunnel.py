"""A tunnel: all packets of a phone inside UDP, between its host and a gateway at the provider.

A stand-in for WireGuard, and for IPsec in UDP (RFC 3948). It adds as many bytes to each packet as WireGuard's
data message (a header of 16, a tag of 16), and goes on in the same way when the NAT's mapping has changed:
the latest authentic datagram says where the other end is. There is no handshake: both ends have the key from
the start, and protect nothing.

The rules of this file:

- The phone uses an address of the gateway, and ports there. Its packets leave the gateway unchanged; packets
  that come to its ports go back through the tunnel.
- Whole IP packets go through the tunnel. So a datagram is ``OVERHEAD`` bytes longer over IPv4, and the
  largest may come in fragments. (Real tunnels give their hosts a smaller MTU.)
- A single media stream each way is passed on as by a relay; of several streams, each packet is carried.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

from siplab.lab.sip.base import Action, Agent, Flow, Listen, PassOn, Send, SendSegment, Train
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint, MalformedPacketError

PORT: Final = 51820
_HEADER: Final = struct.Struct("<B3xIQ")  # type, receiver, counter: WireGuard's, section 5.4.6
_DATA: Final = 4
_TAG: Final = 16
_KEY: Final = b"siplab: both ends know this"
OVERHEAD: Final = 20 + 8 + _HEADER.size + _TAG
"""By how many bytes the tunnel makes a packet longer, over IPv4."""


def seal(number: int, counter: int, packet: bytes) -> bytes:
    """A packet as it goes through the tunnel of that number; an empty one keeps the NAT's mapping."""
    head = _HEADER.pack(_DATA, number, counter)
    tag = hashlib.blake2b(head + packet, key=_KEY, digest_size=_TAG).digest()
    return head + _mixed(head, packet) + tag


def unseal(datagram: bytes) -> tuple[int, bytes] | None:
    """Tunnel number and packet; ``None`` for any other datagram, or one that was altered on the way."""
    if len(datagram) < _HEADER.size + _TAG or datagram[:4] != bytes((_DATA, 0, 0, 0)):
        return None
    _, number, counter = _HEADER.unpack_from(datagram)
    packet = _mixed(datagram[: _HEADER.size], datagram[_HEADER.size : -_TAG])
    whole = hmac.compare_digest(seal(number, counter, packet), datagram)
    return (number, packet) if whole else None


def _mixed(head: bytes, data: bytes) -> bytes:
    if not data:
        return b""
    stream = hashlib.shake_256(_KEY + head).digest(len(data))
    size = len(data)
    return (int.from_bytes(data, "big") ^ int.from_bytes(stream, "big")).to_bytes(size, "big")


def _packet_of(action: Send | SendSegment) -> bytes:
    if isinstance(action, SendSegment):
        return action.packet
    return ip.udp(action.local, action.remote, action.payload, ttl=action.ttl)


def _is_media(payload: bytes) -> bool:
    """Whether it is RTP, and not RTCP."""
    return len(payload) >= 12 and payload[0] >> 6 == 2 and not 200 <= payload[1] <= 204


class Tunnel(NamedTuple):
    """A phone's tunnel: its socket at the host, the gateway, a number, seconds between keep-alives."""

    outer: Endpoint
    gateway: Endpoint
    number: int
    keepalive: float


class TunnelFlow:
    """A stream of media inside a tunnel."""

    def __init__(self, inner: Flow, end: TunnelEnd) -> None:
        self._inner, self._end = inner, end
        self.local = end.tunnel.outer
        self.interval = inner.interval

    @property
    def remote(self) -> Endpoint | None:
        return self._end.tunnel.gateway if self._inner.remote is not None else None

    @property
    def next_due(self) -> float | None:
        return self._inner.next_due

    @property
    def steady(self) -> bool:
        return self._inner.steady and self._end.streams_out < 2

    @property
    def left(self) -> int | None:
        return self._inner.left

    def dues(self, count: int) -> list[float]:
        return self._inner.dues(count)

    def take(self) -> bytes:
        inner = self._inner
        assert inner.remote is not None
        return self._end.sealed(Send(inner.local, inner.remote, inner.take()))

    def skip(self, count: int) -> Train:
        return self._inner.skip(count)

    def frame(self, number: int) -> bytes:
        return self._inner.frame(number)

    @property
    def content(self) -> str:
        return self._inner.content


class TunnelEnd:
    """The phone's end. ``heard``: source and destination of the latest media packet that came in."""

    def __init__(self, tunnel: Tunnel) -> None:
        self.tunnel = tunnel
        self.heard: tuple[Endpoint, Endpoint] | None = None
        self._counter = 0
        self._streams: set[tuple[Endpoint, Endpoint]] = set()
        self._flows: dict[int, tuple[Flow, TunnelFlow]] = {}

    @property
    def streams_out(self) -> int:
        """How many streams of media have gone out so far."""
        return len(self._streams)

    def sealed(self, action: Send | SendSegment) -> bytes:
        """An action's packet as a datagram of the tunnel."""
        if isinstance(action, Send) and _is_media(action.payload):
            self._streams.add((action.local, action.remote))
        self._counter += 1
        return seal(self.tunnel.number, self._counter, _packet_of(action))

    def outward(self, action: Action) -> Action:
        """An action of the phone at the gateway's address, as the phone's host carries it out."""
        if isinstance(action, Send | SendSegment):
            return Send(self.tunnel.outer, self.tunnel.gateway, self.sealed(action))
        return action

    def keep_alive(self) -> Send:
        """An empty packet that keeps the NAT's mapping."""
        self._counter += 1
        return Send(self.tunnel.outer, self.tunnel.gateway, seal(self.tunnel.number, self._counter, b""))

    def inward(self, datagram: bytes, source: Endpoint) -> ip.Packet | bytes | None:
        """What came through the tunnel: a UDP packet, or a TCP packet's bytes; ``None`` for anything else."""
        found = unseal(datagram) if source == self.tunnel.gateway else None
        if found is None or not found[1]:
            return None
        try:
            packet = ip.parse(found[1])
        except MalformedPacketError:
            return None
        if packet.protocol == ip.TCP:
            return found[1]
        if packet.protocol != ip.UDP:
            return None
        if _is_media(packet.payload):
            self.heard = packet.source, packet.destination
        return packet

    def flows(self, inner: Iterable[Flow]) -> list[Flow]:
        """The phone's streams, as they leave its host."""
        found: list[Flow] = []
        for each in inner:
            kept = self._flows.get(id(each))
            if kept is None:
                kept = self._flows[id(each)] = each, TunnelFlow(each, self)
            found.append(kept[1])
        return found


class TunnelGateway(Agent):
    """The provider's end, at ``local``. ``passed`` and ``refused`` count packets from phones."""

    def __init__(self, local: Endpoint) -> None:
        super().__init__()
        self.local = local
        self.passed = self.refused = 0
        self._owners: dict[Endpoint, int] = {}  # endpoints given to phones, with the tunnel's number
        self._clients: dict[int, Endpoint] = {}
        self._counter = 0
        self._streams: dict[tuple[int, bool], set[tuple[Endpoint, Endpoint]]] = {}

    def start(self, now: float) -> list[Action]:
        return [Listen(self.local)]

    def give(self, number: int, ports: Iterable[Listen]) -> list[Action]:
        """Give these ports to the phone with that tunnel. After a restart it has some of them already."""
        fresh = [each for each in ports if each.local not in self._owners]
        self._owners.update(dict.fromkeys((each.local for each in fresh), number))
        return [*fresh]

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        if local != self.local:
            packet = ip.udp(source, local, payload)
            single = _is_media(payload) and self._single(self._owners[local], False, source, local)
            return self._to_phone(self._owners[local], packet, single=single)
        found = unseal(payload)
        if found is None:
            self.refused += 1
            return []
        number, inner = found
        self._clients[number] = source
        if not inner:
            return []
        try:
            packet_ = ip.parse(inner)
        except MalformedPacketError:
            self.refused += 1
            return []
        if self._owners.get(packet_.source) != number:
            self.refused += 1  # an address that is not its own
            return []
        self.passed += 1
        if packet_.protocol == ip.TCP:
            return [SendSegment(packet_.source, packet_.destination, inner)]
        way = packet_.source, packet_.destination
        if _is_media(packet_.payload) and self._single(number, True, *way):
            return [PassOn(*way, packet_.payload)]
        return [Send(*way, packet_.payload)]

    def receive_segment(self, packet: bytes, now: float) -> list[Action]:
        owner = self._owners.get(ip.parse(packet).destination)
        return self._to_phone(owner, packet) if owner is not None else []

    def _to_phone(self, number: int, packet: bytes, *, single: bool = False) -> list[Action]:
        client = self._clients.get(number)
        if client is None:
            return []
        self._counter += 1
        return [(PassOn if single else Send)(self.local, client, seal(number, self._counter, packet))]

    def _single(self, number: int, out: bool, source: Endpoint, destination: Endpoint) -> bool:
        """Whether this is the only media stream in that direction so far."""
        known = self._streams.setdefault((number, out), set())
        known.add((source, destination))
        return len(known) == 1

    def onward(self, source: Endpoint, local: Endpoint) -> tuple[Endpoint, Endpoint] | None:
        if local != self.local:
            number = self._owners.get(local, 0)
            client = self._clients.get(number)
            return (self.local, client) if client is not None else None
        number = next((each for each, client in self._clients.items() if client == source), 0)
        known = self._streams.get((number, True), set())
        return next(iter(known)) if len(known) == 1 else None
