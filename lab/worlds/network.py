"""Where packets go: routes, hops and the path of one packet, the same in both worlds.

A ``Network`` is worked out once from a topology. ``Walk`` follows packets through it. What a
gateway answers and what a host receives comes from a ``Carrier``: the simulated world
computes it, the emulated world waits for the kernel to do it and compares. Because both walk
alike, one packet at a time, both see the same things in the same order.
"""

from __future__ import annotations

import ipaddress
from collections import deque
from typing import NamedTuple, Protocol

from siplab.lab.gateway.fragments import Reassembler
from siplab.lab.gateway.gateway import Emission, Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint, MalformedPacketError
from siplab.lab.wire.tcp_segment import reset
from siplab.lab.worlds.topology import Topology

MAX_HOPS = 64
_SMALLEST_MTU = 576
_MAX_PAYLOAD = ip.MAX_PACKET - 28
_MAX_PAYLOAD6 = ip.MAX_PACKET - 8
_BROADCAST = "255.255.255.255"


class Hop(NamedTuple):
    """The next station of a packet: a node, and the network over which it gets there.

    ``side``: of the gateway that the node is, ``None`` for other nodes. ``final``: the packet's
    destination is one of the node's own addresses.
    """

    node: str
    network: str
    side: Side | None
    final: bool


class Network:
    """A topology with its routes."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.addresses: dict[str, str] = {}  # address -> node
        self.node_addresses: dict[str, dict[str, str]] = {}  # node -> network -> address
        members: dict[str, list[tuple[str, str]]] = {name: [] for name in topology.networks}
        for node, network, address in topology.attachments():
            self.addresses[address] = node
            self.node_addresses.setdefault(node, {})[network] = address
            members[network].append((node, address))
        self.members = members
        self.mtu = {name: spec.mtu for name, spec in topology.networks.items()}
        self._smallest_mtu = min(self.mtu.values(), default=ip.DEFAULT_MTU)
        self._subnets = {name: ipaddress.ip_network(spec.subnet) for name, spec in topology.networks.items()}
        self.sides = {
            (name, network): Side.INSIDE if network in router.inside else Side.OUTSIDE
            for name, router in topology.gateways.items()
            for network in router.all_interfaces
        }
        self.routes = {node: self._routes_of(node) for node in self.node_addresses}
        self.gateways = frozenset(topology.gateways)
        self._hops: dict[tuple[str, str], Hop | None] = {}
        self._roads: dict[tuple[str, str], tuple[Hop | None, int, int]] = {}
        self._refusals: dict[tuple[str, Endpoint], str] = {}
        self._crossed: dict[tuple[str, str], tuple[str, ...]] = {}

    def hop(self, node: str, destination: str) -> Hop | None:
        """Where ``node`` sends a packet for ``destination``; ``None`` when it knows no way."""
        key = (node, destination)
        try:
            return self._hops[key]
        except KeyError:
            pass
        found = self._look_up(node, destination)
        if len(self._hops) < 65536:
            self._hops[key] = found
        return found

    def refusal(self, local: Endpoint, remote: Endpoint, size: int) -> str:
        """Why a host does not even send a datagram of ``size`` bytes; empty when it does.

        Agents send where messages tell them to, and an ALG may have written anything there.
        """
        six = ":" in local.ip
        if size > (_MAX_PAYLOAD6 if six else _MAX_PAYLOAD):
            return f"{size} bytes are more than a datagram can hold"
        if six and size + 48 > self._smallest_mtu:
            return f"{size} bytes do not fit a packet, and the lab has no fragments in IPv6"
        key = (local.ip, remote)
        try:
            return self._refusals[key]
        except KeyError:
            pass
        found = self._refusal(local, remote)
        if len(self._refusals) < 65536:
            self._refusals[key] = found
        return found

    def _refusal(self, local: Endpoint, remote: Endpoint) -> str:
        try:
            address = ipaddress.ip_address(remote.ip)
        except ValueError:
            return f"'{remote.ip}' is not an IP address"
        if not 1 <= remote.port <= 65535:
            return f"{remote.port} is not a port"
        if address.version != ipaddress.ip_address(local.ip).version:
            return f"{remote.ip} is of another IP version than {local.ip}"
        if address.is_unspecified or address.is_loopback or address.is_multicast or remote.ip == _BROADCAST:
            return f"{remote.ip} is no address of another host"
        if address.version == 6 and (address.is_link_local or address.ipv4_mapped is not None):
            return f"{remote.ip} is no address of another host"
        own = [self._subnets[network] for network in self.node_addresses[self.addresses[local.ip]]]
        if any(each.version == 4 and each.prefixlen < 31 and address == each[-1] for each in own):
            return f"{remote.ip} is a broadcast address"
        return ""

    def road(self, node: str, destination: str) -> tuple[Hop | None, int, int]:
        """The next station that does more than forward, how many plain routers come before it, and
        the smallest MTU up to there.
        """
        key = (node, destination)
        try:
            return self._roads[key]
        except KeyError:
            pass
        hop, passed, mtu = self.hop(node, destination), 0, ip.MAX_PACKET
        while hop is not None and hop.side is None and not hop.final and passed < MAX_HOPS:
            if hop.node not in self.topology.routers:
                break
            onward = self.hop(hop.node, destination)
            if onward is None:
                break
            mtu = min(mtu, self.mtu[onward.network])
            hop, passed = onward, passed + 1
        if len(self._roads) < 65536:
            self._roads[key] = (hop, passed, mtu)
        return hop, passed, mtu

    def crossed(self, node: str, destination: str) -> tuple[str, ...]:
        """The networks between ``node`` and the next station that does more than forward, in order."""
        key = (node, destination)
        try:
            return self._crossed[key]
        except KeyError:
            pass
        networks: list[str] = []
        hop = self.hop(node, destination)
        while hop is not None and len(networks) < MAX_HOPS:
            networks.append(hop.network)
            if hop.side is not None or hop.final or hop.node not in self.topology.routers:
                break
            hop = self.hop(hop.node, destination)
        if len(self._crossed) < 65536:
            self._crossed[key] = tuple(networks)
        return tuple(networks)

    def side(self, gateway: str, network: str) -> Side:
        """On which side of a gateway a network lies."""
        return self.sides[gateway, network]

    def networks_of(self, gateway: str, side: Side) -> list[str]:
        """The networks on one side of a gateway."""
        return [network for (name, network), each in self.sides.items() if name == gateway and each is side]

    def _look_up(self, node: str, destination: str) -> Hop | None:
        address = ipaddress.ip_address(destination)
        for network in self.node_addresses[node]:
            if address in self._subnets[network]:
                owner = self.addresses.get(destination)
                # Two homes may have the same subnet, and then each knows its own hosts only.
                here = owner is not None and network in self.node_addresses[owner]
                return self._station(owner, network, destination) if owner and here else None
        for prefix, via in self.routes[node]:
            if (":" in via) != (address.version == 6):
                continue
            if prefix is None or address in ipaddress.ip_network(prefix):
                for network in self.node_addresses[node]:
                    if ipaddress.ip_address(via) in self._subnets[network]:
                        return self._station(self.addresses[via], network, destination)
        return None

    def _station(self, node: str, network: str, destination: str) -> Hop:
        return Hop(node, network, self.sides.get((node, network)), self.addresses.get(destination) == node)

    def _routes_of(self, node: str) -> list[tuple[str | None, str]]:
        """``(prefix, via)`` rows; prefix ``None`` is the default route, which comes last."""
        topology = self.topology
        own = self.node_addresses[node]
        if node in topology.hosts:
            ways: dict[int, str] = {}  # IP version -> the nearest router
            for network in own:
                for _, address in self._routers_on(network)[:1]:
                    ways.setdefault(self._subnets[network].version, address)
            return [(None, address) for address in ways.values()]
        rows: list[tuple[str | None, str]] = []
        for version in (4, 6):
            reached = {network for network in own if self._subnets[network].version == version}
            queue = deque(
                (name, network, address)
                for network in own
                if network in reached
                for name, address in self._routers_on(network)
            )
            seen = {node}
            while queue:
                name, entered, first = queue.popleft()
                if name in seen or self._hidden(name, entered):
                    continue
                seen.add(name)
                for network in self.node_addresses[name]:
                    if self._subnets[network].version != version:
                        continue
                    if network not in reached:
                        reached.add(network)
                        rows.append((topology.networks[network].subnet, first))
                    queue.extend((other, network, first) for other, _ in self._routers_on(network))
        if node in topology.gateways:
            for outside in topology.gateways[node].outside:
                upstream = [
                    (None, address)
                    for name, address in self._routers_on(outside)
                    if name != node and self.sides.get((name, outside)) is not Side.OUTSIDE
                ]
                rows += upstream[:1]
        return rows

    def _routers_on(self, network: str) -> list[tuple[str, str]]:
        """Routers of a segment, those that have it inside first: they are the way out."""
        routers = [
            (name, address) for name, address in self.members[network] if name in self.topology.routers
        ]
        return sorted(routers, key=lambda row: self.sides.get((row[0], network), Side.INSIDE))

    def _hidden(self, router: str, network: str) -> bool:
        """Whether the router is a gateway met from its outside: what it translates has no route."""
        return self.sides.get((router, network)) is Side.OUTSIDE and self._subnets[network].version == 4


class Delivery(NamedTuple):
    """A datagram that reached a host's socket."""

    local: Endpoint
    source: Endpoint
    payload: bytes


class Unreachable(NamedTuple):
    """An ICMP error that reached a host, about a datagram from ``local`` to ``remote``.

    ``quote`` is what it quotes of the datagram's payload.
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
    """The part of a world that a walk asks."""

    def cross(self, gateway: str, side: Side, packet: bytes) -> list[Emission]:
        """``packet`` enters a gateway: what comes of it."""

    def held(self, gateway: str, pieces: list[bytes]) -> bool:
        """Whether what leaves a gateway waits, or gets lost; ``Walk.resume`` takes it on when it is due."""

    def leave(self, gateway: str, emission: Emission, pieces: list[bytes]) -> None:
        """A gateway's emission leaves, as the packets ``pieces`` that the next network can carry."""

    def listening(self, endpoint: Endpoint) -> bool:
        """Whether a socket of the lab is open there."""

    def arrive(self, local: Endpoint, source: Endpoint, packet: bytes) -> Delivery | None:
        """A datagram reaches a listening socket."""

    def listening_tcp(self, endpoint: Endpoint) -> bool:
        """Whether an agent's TCP is there."""

    def arrive_segment(self, local: Endpoint, source: Endpoint, packet: bytes) -> SegmentDelivery:
        """A TCP segment reaches an agent's port."""

    def bounce(self, local: Endpoint, remote: Endpoint) -> Unreachable | None:
        """An ICMP error reaches the socket that caused it."""

    def lost(self, node: str, packet: bytes, reason: str) -> None:
        """A packet ends at a node without reaching anybody."""


class Walk:
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
        hop = self.network.hop(node, destination_of(packet))
        mtu = self.network.mtu[hop.network] if hop else ip.DEFAULT_MTU
        if len(packet) <= mtu:
            return [packet]
        if packet[6] & 0x3F or packet[7]:  # a fragment itself: its pieces belong to the same datagram
            return ip.fragment(packet, mtu)
        self._identification = self._identification % 0xFFFF + 1
        # A sender that lets its datagrams be cut does not set DF on them.
        loose = packet[:6] + bytes((packet[6] & ~0x40, packet[7])) + packet[8:]
        return ip.fragment(loose, mtu, identification=self._identification)

    def send(self, node: str, packet: bytes) -> list[Arrival]:
        """``packet`` leaves ``node``. Returns what reached hosts, in order."""
        self._doubtful = False
        return self._follow(node, self.fit(node, packet))

    def resume(self, node: str, pieces: list[bytes]) -> list[Arrival]:
        """The same for what a gateway emitted before, already in pieces."""
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
                self._carrier.lost(here, packet, "too many hops: the packet goes round in circles")
                break
            self._step(here, packet, queue, arrivals)
        return arrivals

    def _step(
        self, here: str, packet: bytes, queue: deque[tuple[str, bytes]], arrivals: list[Arrival]
    ) -> None:
        destination = destination_of(packet)
        hop, passed, mtu = self.network.road(here, destination)
        if passed:
            if _ttl(packet) > passed and len(packet) <= mtu:
                packet = ip.decrement_ttl(packet, passed)
            else:  # something happens at one of the routers under way: go step by step
                hop = self.network.hop(here, destination)
        if hop is None:
            # Internet routers drop what nobody has a route for (private addresses above all), and
            # hosts find out before they send. Where nobody answers ARP, nobody waits for an error.
            self._carrier.lost(here, packet, "no route, or nobody has that address")
            return
        node = hop.node
        if hop.side is not None:
            for emission in self._carrier.cross(node, hop.side, packet):
                if emission.side is None:
                    continue
                # Only an ALG gets a checksum wrong; to verify what none has touched would cost much.
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
            self._carrier.lost(node, packet, "not for this host")
        elif _ttl(packet) <= 1:
            self._error(node, hop.network, ip.TIME_EXCEEDED, packet, queue)
        else:
            # To the front: what follows on the same road must not overtake it.
            pieces = self.fit(node, ip.decrement_ttl(packet))
            queue.extendleft([(node, piece) for piece in reversed(pieces)])

    def _error(
        self, node: str, network: str, kind: ip.Unreachable, packet: bytes, queue: deque[tuple[str, bytes]]
    ) -> None:
        """``node`` answers with an ICMP error: not about another, nor a later fragment (RFC 1122 3.2.2)."""
        try:
            parsed = ip.parse(packet)
        except MalformedPacketError:
            return
        if ip.is_icmp_error(parsed) or parsed.fragment_offset:
            self._carrier.lost(node, packet, "no ICMP error is sent about it")
            return
        # A station answers from the address that was asked, a router under way from the nearest one.
        own = self.network.node_addresses[node][network] if kind is ip.TIME_EXCEEDED else parsed.dst
        queue.append((node, ip.icmp_error(own, kind, packet)))

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
            if ip.is_icmp_error(parsed):
                self._icmp(parsed, arrivals)
                return
            if parsed.protocol == ip.TCP:
                self._arrive_tcp(node, packet, parsed, queue, arrivals)
                return
            if parsed.protocol != ip.UDP:
                self._carrier.lost(node, packet, "no agent handles this protocol")
                return
            local, source = parsed.destination, parsed.source
        if self._doubtful and ip.verify(packet):
            # The kernel looks at the checksum before it complains about a closed port.
            self._carrier.lost(node, packet, "wrong checksum: the kernel drops it and says nothing")
            return
        if not self._carrier.listening(local):
            self._error(node, network, ip.PORT_UNREACHABLE, packet, queue)
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
        if self._carrier.listening_tcp(local):
            # Its checksum is the agent's own affair.
            arrivals.append(self._carrier.arrive_segment(local, source, packet))
            return
        answer = None if self._doubtful and ip.verify(packet) else reset(parsed)
        if answer is None:
            self._carrier.lost(node, packet, "no TCP is there, and the kernel says nothing about it")
        else:
            queue.append((node, answer))

    def _whole(self, packet: bytes) -> tuple[bytes, ip.Packet] | None:
        """A packet taken apart, or ``None`` while fragments of it are missing."""
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
    """Where an IP packet goes."""
    return ip.unpack_ip(packet[16:20] if packet[0] >> 4 == 4 else packet[24:40])


def source_of(packet: bytes) -> str:
    """Where an IP packet says it comes from."""
    return ip.unpack_ip(packet[12:16] if packet[0] >> 4 == 4 else packet[8:24])


def _ttl(packet: bytes) -> int:
    return packet[8] if packet[0] >> 4 == 4 else packet[7]
