"""Carrying packets: each from the node that sends it until it is delivered, dropped or answered.

A ``Forwarder`` follows packets through a ``Network``. It asks a ``Carrier`` what a gateway emits and what a
host receives: the simulated world computes this, the emulated world waits for the kernel to do it and
compares. Both use the same forwarder, which carries one packet at a time, so both see the same things in the
same order.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple, Protocol

from siplab.lab.gateway.fragments import Reassembler
from siplab.lab.gateway.gateway import Emission, Side
from siplab.lab.sip.base import Transport
from siplab.lab.wire import ip
from siplab.lab.wire.fragments import fragmented
from siplab.lab.wire.icmp import PORT_UNREACHABLE, TIME_EXCEEDED, IcmpError, icmp_error, is_icmp_error
from siplab.lab.wire.ip import Endpoint, MalformedPacketError
from siplab.lab.wire.tcp_segment import reset
from siplab.lab.worlds.network import MAX_HOPS, Network
from siplab.lab.worlds.trace import LossReason

_SMALLEST_MTU: Final = 576  # bytes, RFC 791


class Delivery(NamedTuple):
    """A datagram that reached a host's socket."""

    local: Endpoint
    source: Endpoint
    payload: bytes


class Unreachable(NamedTuple):
    """An ICMP error that reached a host, about a datagram from ``local`` to ``remote``.

    ``quote``: the part of the datagram's payload that the error quotes.
    """

    local: Endpoint
    remote: Endpoint
    quote: bytes = b""


class SegmentDelivery(NamedTuple):
    """A TCP segment that reached a port of a host where an agent listens, as an IP packet."""

    local: Endpoint
    source: Endpoint
    packet: bytes


Arrival = Delivery | SegmentDelivery | Unreachable


class Carrier(Protocol):
    """The part of a world that a ``Forwarder`` asks."""

    def cross(self, gateway: str, side: Side, packet: bytes) -> list[Emission]:
        """``packet`` enters a gateway on ``side``. Returns what the gateway emits."""

    def held(self, gateway: str, pieces: list[bytes]) -> bool:
        """Whether packets that leave a gateway wait or get lost; ``Forwarder.resume`` is for waiting ones."""

    def leave(self, gateway: str, emission: Emission, pieces: list[bytes]) -> None:
        """A gateway's emission leaves, cut into ``pieces`` that fit the next network's MTU."""

    def listening(self, endpoint: Endpoint, transport: Transport = "udp") -> bool:
        """Whether an agent of the lab has that port."""

    def arrive(self, local: Endpoint, source: Endpoint, packet: bytes) -> Delivery | None:
        """A datagram reaches a listening socket."""

    def arrive_segment(self, local: Endpoint, source: Endpoint, packet: bytes) -> SegmentDelivery:
        """A TCP segment reaches an agent's port."""

    def bounce(self, local: Endpoint, remote: Endpoint) -> Unreachable | None:
        """An ICMP error reaches the socket that caused it."""

    def lost(self, node: str, packet: bytes, reason: LossReason, detail: str) -> None:
        """A packet ends at a node and reaches nobody; ``detail`` says to readers why."""


class Forwarder:
    """Carries packets, one after the other, until each is delivered, dropped or answered."""

    def __init__(self, network: Network, carrier: Carrier) -> None:
        self.network = network
        self._carrier = carrier
        self._fragments = Reassembler()
        self._identification = 0
        self.quote = b""  # of the latest ICMP error that reached a host
        self._doubtful = False

    def fit(self, node: str, packet: bytes) -> list[bytes]:
        """A packet as ``node`` puts it on the wire: in fragments if it is larger than the link's MTU."""
        if len(packet) <= _SMALLEST_MTU or packet[0] >> 4 != 4:
            return [packet]
        hop = self.network.next_hop(node, destination_of(packet))
        mtu = self.network.mtu[hop.network] if hop else ip.DEFAULT_MTU
        if len(packet) <= mtu:
            return [packet]
        if packet[6] & 0x3F or packet[7]:  # a fragment itself: its pieces belong to the same datagram
            return fragmented(packet, mtu)
        self._identification = self._identification % 0xFFFF + 1
        # A sender that lets its datagrams be cut does not set DF on them.
        loose = packet[:6] + bytes((packet[6] & ~0x40, packet[7])) + packet[8:]
        return fragmented(loose, mtu, identification=self._identification)

    def send(self, node: str, packet: bytes) -> list[Arrival]:
        """``packet`` leaves ``node``. Returns what reached hosts, in order."""
        self._doubtful = False
        return self._follow(node, self.fit(node, packet))

    def resume(self, node: str, pieces: list[bytes]) -> list[Arrival]:
        """The same for packets that a gateway emitted earlier, already cut into pieces."""
        self._doubtful = True
        return self._follow(node, pieces)

    def _follow(self, node: str, pieces: list[bytes]) -> list[Arrival]:
        arrivals: list[Arrival] = []
        queue: deque[tuple[str, bytes]] = deque((node, piece) for piece in pieces)
        steps = 0
        while queue:
            here, packet = queue.popleft()
            steps += 1
            if steps > MAX_HOPS * 64:
                detail = "too many hops: the packet goes round in circles"
                self._carrier.lost(here, packet, LossReason.FORWARDING_LOOP, detail)
                break
            self._step(here, packet, queue, arrivals)
        return arrivals

    def _step(
        self, here: str, packet: bytes, queue: deque[tuple[str, bytes]], arrivals: list[Arrival]
    ) -> None:
        # As ``destination_of``, written out because no other line of the lab runs as often.
        destination = ip.unpack_ip(packet[16:20]) if packet[0] >> 4 == 4 else destination_of(packet)
        hop, passed, mtu = self.network.segment(here, destination)
        if passed:
            if _ttl(packet) > passed and len(packet) <= mtu:
                packet = ip.decrement_ttl(packet, passed)
            else:  # something happens at one of the routers under way: go step by step
                hop = self.network.next_hop(here, destination)
        if hop is None:
            # Routers of the internet drop packets without a route (private addresses above all), and hosts do
            # not even send them. Where nobody answers ARP, no ICMP error is expected either.
            self._carrier.lost(here, packet, LossReason.NO_ROUTE, "no route, or nobody has that address")
            return
        node = hop.node
        if hop.side is not None:
            for emission in self._carrier.cross(node, hop.side, packet):
                if emission.side is None:
                    continue
                # Only an ALG produces wrong checksums. Verifying packets that no ALG changed would cost much.
                self._doubtful |= emission.changed
                out = emission.packet if emission.originated else ip.decrement_ttl(emission.packet)
                pieces = self.fit(node, out)
                if self._carrier.held(node, pieces):
                    continue
                self._carrier.leave(node, emission, pieces)
                queue.extend([(node, piece) for piece in pieces])
        elif hop.final:
            self._arrive(node, hop.network, packet, queue, arrivals)
        elif node not in self.network.topology.routers:
            self._carrier.lost(node, packet, LossReason.WRONG_HOST, "not for this host")
        elif _ttl(packet) <= 1:
            self._error(node, hop.network, TIME_EXCEEDED, packet, queue)
        else:
            # To the front of the queue: later packets on the same path must not overtake this one.
            pieces = self.fit(node, ip.decrement_ttl(packet))
            queue.extendleft([(node, piece) for piece in reversed(pieces)])

    def _error(
        self, node: str, network: str, kind: IcmpError, packet: bytes, queue: deque[tuple[str, bytes]]
    ) -> None:
        """``node`` sends an ICMP error, but not about an ICMP error or a later fragment (RFC 1122 3.2.2)."""
        try:
            parsed = ip.parse(packet)
        except MalformedPacketError:
            return
        if is_icmp_error(parsed) or parsed.fragment_offset:
            self._carrier.lost(node, packet, LossReason.NO_ICMP_ERROR, "no ICMP error is sent about it")
            return
        # A destination answers from the address that was asked, a router on the way from its nearest one.
        own = self.network.node_addresses[node][network] if kind is TIME_EXCEEDED else parsed.dst
        queue.append((node, icmp_error(own, kind, packet)))

    def _arrive(
        self, node: str, network: str, packet: bytes, queue: deque[tuple[str, bytes]], arrivals: list[Arrival]
    ) -> None:
        if (
            packet[0] == 0x45
            and packet[9] == ip.UDP
            and not packet[6] & 0x3F
            and not packet[7]
            and len(packet) >= 28
        ):
            local = Endpoint(ip.unpack_ip(packet[16:20]), packet[22] << 8 | packet[23])
            source = Endpoint(ip.unpack_ip(packet[12:16]), packet[20] << 8 | packet[21])
        else:
            whole = self._whole(packet)
            if whole is None:
                return
            packet, parsed = whole
            if is_icmp_error(parsed):
                self._icmp(parsed, arrivals)
                return
            if parsed.protocol == ip.TCP:
                self._arrive_tcp(node, packet, parsed, queue, arrivals)
                return
            if parsed.protocol != ip.UDP:
                detail = "no agent handles this protocol"
                self._carrier.lost(node, packet, LossReason.UNKNOWN_PROTOCOL, detail)
                return
            local, source = parsed.destination, parsed.source
        if self._doubtful and ip.verify(packet):
            # The kernel looks at the checksum before it complains about a closed port.
            detail = "wrong checksum: the kernel drops it and says nothing"
            self._carrier.lost(node, packet, LossReason.WRONG_CHECKSUM, detail)
            return
        if not self._carrier.listening(local):
            self._error(node, network, PORT_UNREACHABLE, packet, queue)
            return
        delivery = self._carrier.arrive(local, source, packet)
        if delivery is not None:
            arrivals.append(delivery)

    def _arrive_tcp(
        self,
        node: str,
        packet: bytes,
        parsed: ip.Packet,
        queue: deque[tuple[str, bytes]],
        arrivals: list[Arrival],
    ) -> None:
        local, source = parsed.destination, parsed.source
        if self._carrier.listening(local, "tcp"):
            # The agent's own TCP verifies the checksum.
            arrivals.append(self._carrier.arrive_segment(local, source, packet))
            return
        answer = None if self._doubtful and ip.verify(packet) else reset(parsed)
        if answer is None:
            detail = "no TCP is there, and the kernel says nothing about it"
            self._carrier.lost(node, packet, LossReason.CLOSED_TCP_PORT, detail)
        else:
            queue.append((node, answer))

    def _whole(self, packet: bytes) -> tuple[bytes, ip.Packet] | None:
        """A whole packet and the same parsed; ``None`` while fragments of it are missing."""
        parsed = ip.parse(packet)
        if not parsed.is_fragment:
            return packet, parsed
        whole = self._fragments.add(parsed, packet, 0.0)
        return None if whole is None else (whole, ip.parse(whole))

    def _icmp(self, error: ip.Packet, arrivals: list[Arrival]) -> None:
        try:
            quoted = ip.parse(error.payload, quoted=True)
        except MalformedPacketError:
            return
        if quoted.protocol == ip.UDP and self._carrier.listening(quoted.source):
            self.quote = quoted.payload
            bounced = self._carrier.bounce(quoted.source, quoted.destination)
            if bounced is not None:
                arrivals.append(bounced)


def destination_of(packet: bytes) -> str:
    """The destination address of an IP packet."""
    return ip.unpack_ip(packet[16:20] if packet[0] >> 4 == 4 else packet[24:40])


def source_of(packet: bytes) -> str:
    """The source address of an IP packet."""
    return ip.unpack_ip(packet[12:16] if packet[0] >> 4 == 4 else packet[8:24])


def _ttl(packet: bytes) -> int:
    return packet[8] if packet[0] >> 4 == 4 else packet[7]
