"""Static mappings for the phone's ports in the router ("port forwarding").

SIP and media keep their port numbers outside, bindings never end, and everybody may send to them. Helps
against bindings that end and ports that change; the address in messages stays private all the same. It
does nothing against altered messages, and serves one phone only.
Source: inference; RFC 6887 section 3 has the term.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from siplab.experiments.mitigations._actors import Actor
from siplab.experiments.mitigations._rewiring import gateways_above, with_routers
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import PHONE_RTP_PORT, Setup
from siplab.lab.gateway.nat_config import StaticMapping
from siplab.lab.worlds.topology import Topology

_MEDIA_PORTS = 4  # audio and video with their odd neighbours


@dataclass(frozen=True)
class PortForward:
    """``sip``: the phone's SIP port, ``media``: the first of its media ports."""

    actors: ClassVar = (Actor.ROUTER,)

    sip: Annotated[int, Ge(1), Le(65535)] = 5060
    media: Annotated[int, Ge(1), Le(65530)] = PHONE_RTP_PORT

    def apply(self, setup: Setup) -> Setup:
        return replace(setup, kept=setup.kept | {"sip_port", "rtp_port"})

    def rewire(self, topology: Topology) -> Topology:
        ports = [self.sip, *range(self.media, self.media + _MEDIA_PORTS)]
        changes = {
            name: {
                "static_mappings": (
                    *(
                        each
                        for each in topology.routers[name].nat.static_mappings
                        if each.protocol != "udp" or each.port not in ports
                    ),
                    *(StaticMapping(port, inside) for port in ports),
                )
            }
            for name, inside in gateways_above(topology)
        }
        return with_routers(topology, changes, "port-forward")


ITEM = Item("port-forward", "The router has static mappings for the phone's ports.", PortForward())
