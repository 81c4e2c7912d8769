"""All that the phone says goes through a tunnel to the provider: a stand-in for WireGuard, and IPsec in UDP.

The phone's host and a gateway at the provider pack each packet into UDP; the phone has an address of the
gateway's. So neither NAT nor ALG has a part in telephony: no router on the way sees a message, and nothing is
translated. The phone keeps the tunnel's mapping alive. Helps against every ALG, every NAT, and a blocked port
5060. Each packet is 60 bytes longer over IPv4, as with WireGuard: a packet of G.711 has 260 bytes for 200,
large messages come in fragments, and all sound goes by way of the provider.

It does not help where UDP to the gateway is blocked. No handshake and no key is played (``lab.sip.tunnel``).
Source: WireGuard's paper (J. Donenfeld, NDSS 2017) and RFC 3948 for the form; inference that it helps: what
no router can read or translate no router can damage.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from annotated_types import Gt

from siplab.experiments.mitigations._actors import Actor
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import TUNNEL_ROLE, Setup
from siplab.lab.errors import UsageError
from siplab.lab.worlds.topology import HostSpec, Topology


@dataclass(frozen=True)
class Tunnel:
    """``keepalive``: seconds between packets that keep the NAT's mapping; WireGuard's usual 25."""

    actors: ClassVar = (Actor.PHONE, Actor.PROVIDER)

    keepalive: Annotated[float, Gt(0)] = 25.0

    def apply(self, setup: Setup) -> Setup:
        return replace(setup, tunnel=self.keepalive)

    def rewire(self, topology: Topology) -> Topology:
        """A host for the gateway, beside the server."""
        server = next((each for each in topology.hosts.values() if each.role == "server"), None)
        if server is None or ":" in server.address:
            raise UsageError(
                f"mitigation 'tunnel': topology '{topology.id}' has no server with an IPv4 address"
            )
        taken = {address for _, _, address in topology.attachments()}
        subnet = ipaddress.ip_network(topology.networks[server.network].subnet)
        free = next((str(each) for each in subnet.hosts() if str(each) not in taken), None)
        if free is None:
            raise UsageError(f"mitigation 'tunnel': network '{server.network}' has no address left")
        host = HostSpec(network=server.network, address=free, role=TUNNEL_ROLE)
        changed = topology.model_copy(update={"hosts": {**topology.hosts, TUNNEL_ROLE: host}})
        return Topology.model_validate(changed.model_dump())


ITEM = Item(
    "tunnel", "The phone's packets go through a tunnel to the provider (a stand-in for a VPN).", Tunnel()
)
