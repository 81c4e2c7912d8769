"""The router is replaced by one of which the ALG is known: none, or a correct one.

Helps against every fault of the router's, and against its NAT where that is symmetric or forgets early:
the new one does what RFC 4787 asks for. It does not help against the provider's line, another router
behind it, or a phone and a server that need an ALG where the new one has none. Costs a router.
Source: "Why SIP ALG is the Hidden VoIP Killer" and users' reports end with it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import ClassVar, Literal

from siplab.experiments.mitigations._actors import Actor
from siplab.experiments.mitigations._rewiring import gateways_above, with_routers
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Setup
from siplab.lab.gateway.nat_config import NatConfig
from siplab.lab.worlds.topology import Topology


@dataclass(frozen=True)
class AnotherRouter:
    """``alg``: that of the new one."""

    actors: ClassVar = (Actor.HARDWARE,)

    alg: Literal["none", "correct"] = "none"

    def apply(self, setup: Setup) -> Setup:
        own = next(iter(setup.models), "")
        return replace(setup, models={**setup.models, own: self.alg}) if own else setup

    def rewire(self, topology: Topology) -> Topology:
        (name, _), *_ = gateways_above(topology) or [("", "")]
        changes = {name: asdict(NatConfig())} if name else {}
        return with_routers(topology, changes, "another-router")


ITEM = Item("another-router", "The router at home is replaced.", AnotherRouter(), aliases=("replace-router",))
