"""The provider's hub becomes a modem ("bridge mode"): it translates nothing and looks at nothing.

Where an own router stands behind the hub, that gets the public address. Helps against the hub's ALG, and
against double NAT; the own router's ALG stays. Providers offer it where their hub's ALG can't be switched
off. Needs a network with two translating routers in a row, such as ``alg-behind-alg``.
Source: "Why SIP ALG is the Hidden VoIP Killer" tells of a hub in modem mode with
a router of the user's own behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from siplab.experiments.mitigations._actors import Actor
from siplab.experiments.mitigations._rewiring import gateways_above, without
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Setup
from siplab.lab.errors import UsageError
from siplab.lab.worlds.topology import Topology


@dataclass(frozen=True)
class BridgeMode:
    """The second router above the phone is taken out; the first one has its outside."""

    actors: ClassVar = (Actor.ROUTER, Actor.HARDWARE)

    def apply(self, setup: Setup) -> Setup:
        return setup

    def rewire(self, topology: Topology) -> Topology:
        above = [name for name, _ in gateways_above(topology)]
        if len(above) < 2:
            raise UsageError(
                f"mitigation 'bridge-mode': topology '{topology.id}' has no hub behind the own router; "
                "use one with two, such as 'alg-behind-alg' or 'double-nat'"
            )
        own, hub = topology.routers[above[0]], topology.routers[above[1]]
        between = set(own.outside)
        for node, network, _ in topology.attachments():
            if network in between and node not in above[:2]:
                raise UsageError(
                    f"mitigation 'bridge-mode': '{node}' in topology '{topology.id}' needs the hub too"
                )
        routers = without(topology.routers, above[1])
        routers[above[0]] = own.model_copy(update={"outside": hub.outside})
        data = topology.model_copy(
            update={
                "networks": {name: each for name, each in topology.networks.items() if name not in between},
                "routers": routers,
            }
        )
        return Topology.model_validate(data.model_dump())


ITEM = Item(
    "bridge-mode",
    "The provider's hub only bridges; the own router translates.",
    BridgeMode(),
    aliases=("modem-mode",),  # as vendors call it
)
