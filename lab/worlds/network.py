"""Addresses and routes: where each node of a topology sends a packet. Each answer is computed once."""

from __future__ import annotations

import ipaddress
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, NamedTuple, TypeVar

from siplab.lab.gateway.gateway import Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.topology import Topology

MAX_HOPS = 64
_MOST_KNOWN: Final = 65536  # cached answers; a limit, as an ALG may write any address into a message
_MAX_PAYLOAD = ip.MAX_PACKET - 28
_MAX_PAYLOAD6 = ip.MAX_PACKET - 8
_BROADCAST = "255.255.255.255"


class NextHop(NamedTuple):
    """The next station of a packet: a node, and the network over which the packet gets there.

    ``side``: if the node is a gateway, the side on which the packet enters it, else ``None``. ``final``: the
    packet's destination is one of the node's own addresses.
    """

    node: str
    network: str
    side: Side | None
    final: bool


class PathSegment(NamedTuple):
    """The part of a path up to the next node that does more than forward.

    ``next_hop``: how the last node before that one sends the packet on, ``None`` without a route.
    ``routers``: how many plain routers come before. ``mtu``: the smallest MTU behind these routers, in bytes.
    """

    next_hop: NextHop | None
    routers: int
    mtu: int


_K = TypeVar("_K")
_V = TypeVar("_V")


class _Known(dict[_K, _V], Generic[_K, _V]):
    """A cache: answers that were computed before."""

    def __init__(self, work_out: Callable[[_K], _V]) -> None:
        super().__init__()
        self._work_out = work_out

    def __missing__(self, key: _K) -> _V:
        found = self._work_out(key)
        if len(self) < _MOST_KNOWN:
            self[key] = found
        return found


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
        self.renewals = topology.renewals()
        self.addresses |= {address: node for node, _, address in self.renewals}
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
        self._next_hops = _Known(self._find_next_hop)
        self._segments = _Known(self._find_segment)
        self._straight = _Known(self._find_straight)
        self._refusals = _Known(self._find_refusal)
        self._crossed = _Known(self._find_crossed)

    def next_hop(self, node: str, destination: str) -> NextHop | None:
        """Where ``node`` sends a packet for ``destination``; ``None`` when it has no route."""
        return self._next_hops[node, destination]

    def segment(self, node: str, destination: str) -> PathSegment:
        """The path from ``node`` to the next station that does more than forward."""
        return self._segments[node, destination]

    def straight(self, node: str, destination: str) -> int:
        """The largest packet (bytes) that ``node`` can send to a host whole and without a gateway.

        0 if there is none. Only plain routers are on the way, not more than the usual TTL allows.
        """
        return self._straight[node, destination]

    def crossed(self, node: str, destination: str) -> tuple[str, ...]:
        """The networks between ``node`` and the next station that does more than forward, in order."""
        return self._crossed[node, destination]

    def refusal(self, local: Endpoint, remote: Endpoint, size: int) -> str:
        """Why a host refuses to send a datagram of ``size`` bytes; empty when it sends.

        Agents send where messages tell them to, and an ALG may have written anything there.
        """
        six = ":" in local.ip
        if size > (_MAX_PAYLOAD6 if six else _MAX_PAYLOAD):
            return f"{size} bytes are more than a datagram can hold"
        if six and size + 48 > self._smallest_mtu:
            return f"{size} bytes do not fit a packet, and the lab has no fragments in IPv6"
        return self._refusals[local.ip, remote]

    def _find_refusal(self, key: tuple[str, Endpoint]) -> str:
        local, remote = key
        try:
            address = ipaddress.ip_address(remote.ip)
        except ValueError:
            return f"'{remote.ip}' is not an IP address"
        if not 1 <= remote.port <= 65535:
            return f"{remote.port} is not a port"
        if address.version != ipaddress.ip_address(local).version:
            return f"{remote.ip} is of another IP version than {local}"
        if address.is_unspecified or address.is_loopback or address.is_multicast or remote.ip == _BROADCAST:
            return f"{remote.ip} is no address of another host"
        if address.version == 6 and (address.is_link_local or address.ipv4_mapped is not None):
            return f"{remote.ip} is no address of another host"
        own = [self._subnets[network] for network in self.node_addresses[self.addresses[local]]]
        if any(each.version == 4 and each.prefixlen < 31 and address == each[-1] for each in own):
            return f"{remote.ip} is a broadcast address"
        return ""

    def _find_segment(self, key: tuple[str, str]) -> PathSegment:
        node, destination = key
        hop, passed, mtu = self.next_hop(node, destination), 0, ip.MAX_PACKET
        while hop is not None and hop.side is None and not hop.final and passed < MAX_HOPS:
            if hop.node not in self.topology.routers:
                break
            onward = self.next_hop(hop.node, destination)
            if onward is None:
                break
            mtu = min(mtu, self.mtu[onward.network])
            hop, passed = onward, passed + 1
        return PathSegment(hop, passed, mtu)

    def _find_straight(self, key: tuple[str, str]) -> int:
        hop, routers, mtu = self.segment(*key)
        if hop is None or hop.side is not None or not hop.final or routers >= ip.DEFAULT_TTL:
            return 0
        return min(mtu, *(self.mtu[each] for each in self.crossed(*key)))

    def _find_crossed(self, key: tuple[str, str]) -> tuple[str, ...]:
        node, destination = key
        networks: list[str] = []
        hop = self.next_hop(node, destination)
        while hop is not None and len(networks) < MAX_HOPS:
            networks.append(hop.network)
            if hop.side is not None or hop.final or hop.node not in self.topology.routers:
                break
            hop = self.next_hop(hop.node, destination)
        return tuple(networks)

    def side(self, gateway: str, network: str) -> Side:
        """On which side of a gateway a network lies."""
        return self.sides[gateway, network]

    def networks_of(self, gateway: str, side: Side) -> list[str]:
        """The networks on one side of a gateway."""
        return [network for (name, network), each in self.sides.items() if name == gateway and each is side]

    def _find_next_hop(self, key: tuple[str, str]) -> NextHop | None:
        node, destination = key
        address = ipaddress.ip_address(destination)
        for network in self.node_addresses[node]:
            if address in self._subnets[network]:
                owner = self.addresses.get(destination)
                # Two homes may have the same subnet. Each of them reaches its own hosts only.
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

    def _station(self, node: str, network: str, destination: str) -> NextHop:
        return NextHop(
            node, network, self.sides.get((node, network)), self.addresses.get(destination) == node
        )

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
        """Routers on a network. Those that have it on their inside come first: they are the way out."""
        routers = [
            (name, address) for name, address in self.members[network] if name in self.topology.routers
        ]
        return sorted(routers, key=lambda row: self.sides.get((row[0], network), Side.INSIDE))

    def _hidden(self, router: str, network: str) -> bool:
        """Whether the router is a gateway met from outside: nothing has a route to what it translates."""
        met_outside = self.sides.get((router, network)) is Side.OUTSIDE
        return (
            met_outside
            and self._subnets[network].version == 4
            and self.topology.gateways[router].nat.translates
        )
