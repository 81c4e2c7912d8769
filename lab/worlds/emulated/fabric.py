"""The emulated network: a topology built of Mininet nodes, veth pairs and bridges.

Every node is a Mininet host in a network namespace of its own. A segment with two members is a veth pair. One
with more is a bridge in the namespace of its router, as in a real home router. If that router is a container,
which has only its own interfaces, the bridge gets a namespace of its own. Router namespaces forward. Every
packet that arrives at a gateway is queued to this process: in queue 0 from the inside, in queue 1 from the
outside.

Nothing that traces would show is left to chance: hardware addresses follow from IP addresses, neighbours are
fixed entries (no ARP), IPv6 is off where a topology has none, and ICMP errors are not rate limited.
"""

from __future__ import annotations

import ipaddress
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from siplab.lab.errors import CapabilityError, UsageError
from siplab.lab.worlds.emulated import host_files, tools
from siplab.lab.worlds.emulated import namespaces as ns
from siplab.lab.worlds.network import Network

INSIDE_QUEUE: Final = 0
OUTSIDE_QUEUE: Final = 1

_BURST: Final = 15_000  # bytes that may be sent at once

TOOLS: Final = {
    "mnexec": "mininet",
    "ifconfig": "net-tools",
    "ip": "iproute2",
    "iptables-nft-restore": "iptables",
}


def missing_tools() -> list[tuple[str, str]]:
    """``(program, Debian package)`` of each program that the fabric needs and this machine lacks."""
    return [(tool, package) for tool, package in TOOLS.items() if tools.find(tool) is None]


def require_tools() -> None:
    """Raises ``CapabilityError`` naming the packages to install."""
    missing = missing_tools()
    if missing:
        names = ", ".join(tool for tool, _ in missing)
        packages = " ".join(dict.fromkeys(package for _, package in missing))
        raise CapabilityError(f"missing {names}: apt-get install {packages}")
    try:
        import mininet.node  # noqa: F401
        import netfilterqueue  # noqa: F401
    except ImportError as error:
        raise CapabilityError(
            f"the Python package '{error.name}' is missing: pip install 'siplab[emulated]'"
        ) from None


class Fabric:
    """A running network. Must be built inside a bubble.

    ``tables`` gives a gateway's packet filter: for each ``iptables-restore`` command, its input.
    """

    def __init__(self, network: Network, tables: Tables | None = None) -> None:
        require_tools()
        self._tables = tables or queue_tables
        # Mininet's own initialisation raises limits of the whole host; nothing here needs that.
        from mininet.link import Link
        from mininet.net import Mininet
        from mininet.node import Node

        Mininet.inited = True
        self.network = network
        self.nodes: dict[str, Any] = {name: Node(name, inNamespace=True) for name in network.node_addresses}
        self.namespaces = {
            name: os.open(f"/proc/{node.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            for name, node in self.nodes.items()
        }
        self._has_ipv6 = any(":" in address for address in network.addresses)
        self._switches: dict[str, Any] = {}  # network -> the node that is only its bridge
        for name in self.nodes:
            self._sysctls(name, self._before_links(name))
        self._batches: dict[str, list[str]] = {name: ["link set lo up"] for name in self.nodes}
        self.interfaces: dict[tuple[str, str], str] = {}  # (node, network) -> interface
        for segment in network.members:
            self._join(segment, Link)
        self._addresses_and_routes()
        self._configure()
        host_files.furnish(
            {self.pid(name): host_files.names_of(network.topology, name) for name in self.nodes}
        )

    def pid(self, node: str) -> int:
        """Process id, inside the bubble, of a node's shell."""
        return int(self.nodes[node].pid)

    def close(self) -> None:
        """Take the network down. (The end of the bubble would do the same.)"""
        for node in (*self.nodes.values(), *self._switches.values()):
            node.shell.send_signal(signal.SIGCONT)  # a stopped process does not end
            node.terminate()
        for descriptor in self.namespaces.values():
            os.close(descriptor)

    # -- building ------------------------------------------------------------------------------

    def _join(self, segment: str, link: Any) -> None:
        members = [node for node, _ in self.network.members[segment]]
        routers = [node for node in members if node in self.network.topology.routers]
        for node in members:
            number = list(self.network.node_addresses[node]).index(segment)
            self.interfaces[node, segment] = segment if node in routers else f"eth{number}"
        if len(members) == 2:
            one, other = members
            link(
                self.nodes[one],
                self.nodes[other],
                intfName1=self.interfaces[one, segment],
                intfName2=self.interfaces[other, segment],
            )
            return
        hub, bridge = self._hub(segment)
        if hub not in self.nodes:
            self._make_switch(segment, hub)
        batch = self._batches[hub]
        batch.append(f"link add name {bridge} type bridge mcast_snooping 0")
        home = self._switches.get(segment) or self.nodes[hub]
        for index, node in enumerate(each for each in members if each != hub):
            port = f"{segment[:11]}.{index}"
            link(self.nodes[node], home, intfName1=self.interfaces[node, segment], intfName2=port)
            batch += [f"link set dev {port} master {bridge}", f"link set dev {port} up"]
        if segment in self._switches:
            batch.append(f"link set dev {bridge} up")

    def _hub(self, segment: str) -> tuple[str, str]:
        """The node whose namespace has a segment's bridge, and the bridge's name there."""
        members = [node for node, _ in self.network.members[segment]]
        hub = next((node for node in members if node in self.network.topology.routers), members[0])
        if hub in self.network.topology.images:
            return f"{segment} bridge", segment
        return hub, self.interfaces[hub, segment]

    def _make_switch(self, segment: str, name: str) -> None:
        from mininet.node import Node

        node = self._switches[segment] = Node(name.replace(" ", "-"), inNamespace=True)
        self.namespaces[name] = os.open(f"/proc/{node.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._batches[name] = []
        self._sysctls(name, self._before_links(name))

    def _addresses_and_routes(self) -> None:
        network = self.network
        for segment, members in network.members.items():
            length = ipaddress.ip_network(network.topology.networks[segment].subnet).prefixlen
            for node, address in members:
                device = self.interfaces[node, segment]
                extra = " nodad" if ":" in address else ""
                batch = self._batches[node]
                batch += [
                    f"link set dev {device} address {_hardware_address(address)}",
                    # With ARP, a sender to an address that nobody has would get an error seconds later.
                    f"link set dev {device} arp off",
                    f"link set dev {device} mtu {network.mtu[segment]}",
                    f"addr add {address}/{length} dev {device}{extra}",
                    f"link set dev {device} up",
                ]
                batch += [
                    f"neigh replace {other} lladdr {_hardware_address(other)} dev {device} nud permanent"
                    for name, other in members
                    if name != node
                ]
        for gateway, segment, address in network.renewals:
            self._renewable(gateway, segment, address)
        for node, routes in network.routes.items():
            if node in network.topology.routers and all(prefix for prefix, _ in routes):
                # Without this route the kernel sends ICMP errors at a rate that can't be set here.
                self._batches[node].append("route add blackhole default")
                if self._has_ipv6:
                    self._batches[node].append("route add blackhole ::/0")
            self._batches[node] += [
                f"route add {prefix or ('default' if ':' not in via else '::/0')} via {via}"
                for prefix, via in routes
            ]

    def _renewable(self, gateway: str, segment: str, address: str) -> None:
        """Deliver to a gateway also the packets for the address that it gets later."""
        network = self.network
        length = ipaddress.ip_network(network.topology.networks[segment].subnet).prefixlen
        device = self.interfaces[gateway, segment]
        self._batches[gateway].append(f"addr add {address}/{length} dev {device}")
        hardware = _hardware_address(network.node_addresses[gateway][segment])
        for other, _ in network.members[segment]:
            if other != gateway:
                port = self.interfaces[other, segment]
                self._batches[other].append(
                    f"neigh replace {address} lladdr {hardware} dev {port} nud permanent"
                )

    def bridge_of(self, segment: str) -> tuple[str, str]:
        """Node and name of a network's bridge. Raises ``UsageError`` for a network that is one cable."""
        members = [node for node, _ in self.network.members[segment]]
        if len(members) == 2:
            raise UsageError(f"network '{segment}' is one cable between two: there is no socket left")
        return self._hub(segment)

    def open_to_others(self, segment: str) -> None:
        """Turn ARP on for the hosts of a network, so that they find hosts that the topology does not have."""
        for node, _ in self.network.members[segment]:
            with ns.inside(self.namespaces[node]):
                device = self.interfaces[node, segment]
                subprocess.run(["ip", "link", "set", "dev", device, "arp", "on"], check=True)

    def adopt(self, host: str, namespace: int) -> None:
        """Give a host another network namespace, by its descriptor, which belongs to the fabric from now on.

        Its interfaces move there with all their settings. Raises ``CapabilityError``.
        """
        for (node, segment), device in self.interfaces.items():
            if node != host:
                continue
            # A network of hosts without a router is a bridge in one of the hosts: a bridge can't move.
            with ns.inside(self.namespaces[host]):
                done = subprocess.run(
                    ["ip", "link", "set", device, "netns", f"/proc/self/fd/{namespace}"],
                    pass_fds=[namespace],
                    capture_output=True,
                    text=True,
                    check=False,
                )
            if done.returncode:
                raise CapabilityError(f"{segment} of '{host}' can't be moved: {done.stderr.strip()}")
        os.close(self.namespaces[host])
        self.namespaces[host] = namespace
        self._sysctls(host, self._before_links(host))
        self._run_batches([host])
        self._limit([host])

    def _configure(self) -> None:
        """Set up all nodes at the same time."""
        self._run_batches(list(self._batches))
        self._limit(list(self.nodes))
        for name, router in self.network.topology.routers.items():
            self._sysctls(name, self._after_links(name))
            if router.is_gateway and router.image is None:
                self._rules(name)

    def _run_batches(self, nodes: list[str]) -> None:
        running = []
        for name in nodes:
            lines = self._batches[name]
            with ns.inside(self.namespaces[name]):
                process = subprocess.Popen(
                    ["ip", "-batch", "-"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
                )
            assert process.stdin is not None
            process.stdin.write("\n".join(lines) + "\n")
            process.stdin.close()
            running.append((name, process))
        for name, process in running:
            assert process.stderr is not None
            complaint = process.stderr.read().strip()
            process.stderr.close()
            if process.wait() != 0:
                raise CapabilityError(f"the network of '{name}' could not be set up: {complaint}")

    def _limit(self, nodes: list[str]) -> None:
        """Limit interfaces to the bandwidth of their networks, with a token bucket (tc-tbf(8)) each."""
        for (node, segment), device in self.interfaces.items():
            rate = self.network.topology.networks[segment].bandwidth
            if node not in nodes or not rate:
                continue
            command = f"tc qdisc replace dev {device} root tbf rate {rate:g}mbit burst {_BURST} latency 100ms"
            with ns.inside(self.namespaces[node]):
                done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
            if done.returncode:
                raise CapabilityError(f"the bandwidth of '{segment}' can't be limited: {done.stderr.strip()}")

    @property
    def has_ipv6(self) -> bool:
        """Whether anybody in the network has an IPv6 address."""
        return self._has_ipv6

    def _rules(self, gateway: str) -> None:
        for command, text in self._tables(self, gateway).items():
            with ns.inside(self.namespaces[gateway]):
                done = subprocess.run([command], input=text, text=True, capture_output=True, check=False)
            if done.returncode:
                raise CapabilityError(f"{command} failed in '{gateway}': {done.stderr.strip()}")

    # -- kernel settings -------------------------------------------------------------------------

    def _before_links(self, node: str) -> dict[str, str]:
        values = {
            "net/ipv4/icmp_ratemask": "0",
            "net/ipv4/icmp_ratelimit": "0",
            "net/ipv6/conf/all/disable_ipv6": "0" if self._has_ipv6 else "1",
            "net/ipv6/conf/default/disable_ipv6": "0" if self._has_ipv6 else "1",
            "net/ipv6/conf/default/accept_dad": "0",
            "net/ipv6/conf/default/router_solicitations": "0",
            "net/ipv6/auto_flowlabels": "0",
            "net/ipv6/icmp/ratelimit": "0",
            "net/ipv6/icmp/ratemask": "2",  # packet too big, which the kernel never limits
            # Bridged packets stay out of the router's rules (where the kernel has that feature).
            "net/bridge/bridge-nf-call-iptables": "0",
            "net/bridge/bridge-nf-call-ip6tables": "0",
        }
        if node in self.network.topology.routers:
            values |= {
                "net/ipv4/ip_forward": "1",
                "net/ipv6/conf/all/forwarding": "1",
                "net/ipv4/conf/all/rp_filter": "0",
                "net/ipv4/conf/default/rp_filter": "0",
                "net/ipv4/conf/all/send_redirects": "0",
                "net/ipv4/conf/default/send_redirects": "0",
            }
        return values

    def _after_links(self, router: str) -> dict[str, str]:
        """A gateway rewrites sources before routing, so packets from its own address come from the inside."""
        return {
            f"net/ipv4/conf/{self.interfaces[router, segment]}/accept_local": "1"
            for segment in self.network.topology.routers[router].all_interfaces
        }

    def _sysctls(self, node: str, values: dict[str, str]) -> None:
        with ns.inside(self.namespaces[node]):
            for name, value in values.items():
                path = Path("/proc/sys") / name
                if path.exists():
                    path.write_text(value)


def queue_tables(fabric: Fabric, gateway: str) -> dict[str, str]:
    """The packet filter that hands every arriving packet of a gateway to this process."""
    router = fabric.network.topology.gateways[gateway]
    rows = [
        f"-A PREROUTING -i {fabric.interfaces[gateway, segment]} -j NFQUEUE --queue-num {number}"
        for number, side in ((INSIDE_QUEUE, router.inside), (OUTSIDE_QUEUE, router.outside))
        for segment in side
    ]
    tables = {"iptables-nft-restore": rows}
    if fabric.has_ipv6:
        # What IPv6 hosts send to their neighbours, at random times, is left to the kernel.
        neighbourly = [f"-A PREROUTING -d {prefix} -j ACCEPT" for prefix in ("fe80::/10", "ff00::/8")]
        tables["ip6tables-nft-restore"] = neighbourly + rows
    return {command: "\n".join(["*mangle", *lines, "COMMIT", ""]) for command, lines in tables.items()}


Tables = Callable[[Fabric, str], dict[str, str]]


def _hardware_address(address: str) -> str:
    """A locally administered MAC address that follows from an IP address."""
    tail = ipaddress.ip_address(address).packed[-4:]
    return ":".join(f"{byte:02x}" for byte in b"\x02\x00" + tail)
