"""A router whose own kernel does the work: its NAT and its SIP ALG replace the lab's gateway.

The model ``linux`` describes the kernel's ALG (nf_conntrack_sip, nf_nat_sip); here the original runs. Its
timers are real, so trials with it run on the wall clock, and a passive tap sees the packets.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Mapping
from typing import Any, Final

from siplab.lab.errors import CapabilityError, UsageError
from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.sides import Side
from siplab.lab.worlds.emulated import namespaces as ns
from siplab.lab.worlds.emulated.fabric import Fabric, Tables
from siplab.lab.worlds.emulated.live import LiveWorld
from siplab.lab.worlds.emulated.world import EmulatedLab
from siplab.lab.worlds.impairments import impairments_of
from siplab.lab.worlds.network import Network

# The models that stand for a kernel: with its SIP ALG, and without.
WITH_ALG: Final = "linux"
WITHOUT_ALG: Final = "none"
MODELS: Final = (WITH_ALG, WITHOUT_ALG)
SIP_PORT: Final = 5060

# linux/netfilter/nfnetlink.h, nfnetlink_conntrack.h
_NETLINK_NETFILTER: Final = 12
_SUBSYS_CTNETLINK: Final = 1
_SUBSYS_CTNETLINK_EXP: Final = 2
_MSG_DELETE: Final = 2
_NLM_F_REQUEST_ACK: Final = 5
_NLMSG_ERROR: Final = 2


def check_model(model: str) -> str:
    """The model, if it stands for a kernel. Raises ``UsageError`` for another."""
    if model not in MODELS:
        raise UsageError(
            f"model '{model}' can't run with gateway 'kernel', where the router's own kernel does the work: "
            f"choose '{WITH_ALG}' (its SIP ALG), '{WITHOUT_ALG}' (NAT only), or gateway 'queue'"
        )
    return model


def with_alg(models: Mapping[str, Model]) -> list[str]:
    """The gateways whose kernel uses its ALG. Raises ``UsageError`` for a model that is not a kernel's."""
    return [gateway for gateway, model in models.items() if check_model(model.id) == WITH_ALG]


def check_network(network: Network) -> None:
    """Raises ``UsageError`` for a network with features that a gateway of the kernel's can't provide."""
    if impairments_of(network, None) is not None:
        raise UsageError(
            f"topology '{network.topology.id}' delays or loses packets, which a gateway 'kernel' can't: "
            "choose another topology, or gateway 'queue'"
        )
    for name, router in network.topology.gateways.items():
        if router.firewall:
            raise UsageError(
                f"topology '{network.topology.id}': router '{name}' has firewall rules, which a gateway "
                "'kernel' does not: choose another topology, or gateway 'queue'"
            )


def tables(with_alg: Iterable[str]) -> Tables:
    """The packet filter of gateways whose kernel translates; those in ``with_alg`` have the SIP ALG."""
    chosen = frozenset(with_alg)

    def made(fabric: Fabric, gateway: str) -> dict[str, str]:
        return _tables(fabric, gateway, helper=gateway in chosen)

    return made


def _tables(fabric: Fabric, gateway: str, *, helper: bool) -> dict[str, str]:
    topology = fabric.network.topology
    router = topology.gateways[gateway]
    inside = [fabric.interfaces[gateway, segment] for segment in router.inside]
    outside = [fabric.interfaces[gateway, segment] for segment in router.outside]
    raw = [
        f"-A PREROUTING -i {interface} -p {transport} --dport {SIP_PORT} -j CT --helper sip"
        for interface in (*inside, *outside)
        for transport in ("udp", "tcp")
        if helper
    ]
    # Replies, and packets that the ALG expects, come in. Everything else is dropped without an answer.
    guard = [":INPUT ACCEPT", ":FORWARD DROP"]
    guard += ["-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"]
    guard += [f"-A FORWARD -i {interface} -j ACCEPT" for interface in inside]
    guard += [f"-A INPUT -i {interface} -m conntrack --ctstate INVALID,NEW -j DROP" for interface in outside]
    four = {
        "raw": raw,
        "nat": [
            f"-A POSTROUTING -s {subnet} -o {interface} -j SNAT --to-source {public}"
            for subnet in (topology.networks[segment].subnet for segment in router.inside)
            if ":" not in subnet
            for interface, public in zip(outside, router.outside.values(), strict=True)
            if ":" not in public
        ],
        "filter": guard,
    }
    made = {"iptables-nft-restore": _written(four)}
    if fabric.has_ipv6:
        neighbourly = ["-A INPUT -p ipv6-icmp -j ACCEPT"]
        made["ip6tables-nft-restore"] = _written({"raw": raw, "filter": guard[:2] + neighbourly + guard[2:]})
    return made


def _written(rows: Mapping[str, list[str]]) -> str:
    return "".join("\n".join([f"*{name}", *lines, "COMMIT", ""]) for name, lines in rows.items())


class KernelLab(EmulatedLab):
    """A running network whose gateways are the kernel's. Must be made in a bubble.

    ``with_alg``: the gateways that have the SIP ALG. Raises ``CapabilityError`` when the kernel lacks a
    needed feature.
    """

    def __init__(self, network: Network, with_alg: Iterable[str]) -> None:
        check_network(network)
        try:
            super().__init__(network, tables(with_alg))
        except CapabilityError as error:
            raise CapabilityError(f"{error} (gateway 'kernel' needs {', '.join(FEATURES)})") from None
        self._netlink = {name: _Conntrack(self.fabric.namespaces[name]) for name in network.topology.gateways}

    def forget(self) -> None:
        """Clear the gateways' connections and expectations, and what their taps saw."""
        for each in self._netlink.values():
            each.flush()
        for tap in self.taps.values():
            for _ in tap.read():
                pass
            tap.missed()

    def close(self) -> None:
        for each in self._netlink.values():
            each.close()
        super().close()


# What gateway 'kernel' needs from the kernel, as names of build options.
FEATURES: Final = ("NF_NAT_SIP", "NETFILTER_XT_TARGET_CT", "NF_CT_NETLINK")


class _Conntrack:
    """The connection tracking table of one namespace, over netlink."""

    def __init__(self, namespace: int) -> None:
        with ns.inside(namespace):
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
        self._socket.bind((0, 0))

    def flush(self) -> None:
        """Forget every expectation and every connection. Raises ``CapabilityError``."""
        for subsystem in (_SUBSYS_CTNETLINK_EXP, _SUBSYS_CTNETLINK):
            kind = subsystem << 8 | _MSG_DELETE
            self._socket.send(struct.pack("=IHHII4x", 20, kind, _NLM_F_REQUEST_ACK, 0, 0))
            answer = self._socket.recv(4096)
            length, answered = struct.unpack_from("=IH", answer)
            error = struct.unpack_from("=i", answer, 16)[0] if length >= 20 else -1
            if answered != _NLMSG_ERROR or error:
                raise CapabilityError(f"the kernel does not clear its connection table (error {-error})")

    def close(self) -> None:
        self._socket.close()


class KernelWorld(LiveWorld):
    """A trial with gateways of the kernel's own, on the wall clock."""

    _lab: KernelLab

    def __init__(self, lab: KernelLab, seed: object) -> None:
        lab.forget()
        super().__init__(lab, {}, seed)

    def queued(self, gateway: str, side: Side, packet: Any) -> None:
        raise AssertionError("a gateway of the kernel's own has no queue")
