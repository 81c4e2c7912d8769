"""The phone is the router's DMZ host ("exposed host"): what no binding is for goes to it, from anybody.

Helps where a binding has ended or was never made, if the phone's ports are kept or announced as they are:
calls come in, media too. It does nothing against altered messages, serves one phone only, and opens it to
the internet. Where several routers translate, each passes things on to the next.
Source: inference; routers' menus have it under this name or as "exposed host".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from siplab.experiments.mitigations._actors import Actor
from siplab.experiments.mitigations._rewiring import gateways_above, with_routers
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Setup
from siplab.lab.worlds.topology import Topology


@dataclass(frozen=True)
class Dmz:
    """``dmz_host`` of every NAT above the phone."""

    actors: ClassVar = (Actor.ROUTER,)

    def apply(self, setup: Setup) -> Setup:
        return setup

    def rewire(self, topology: Topology) -> Topology:
        changes = {name: {"dmz_host": inside} for name, inside in gateways_above(topology)}
        return with_routers(topology, changes, "dmz")


ITEM = Item("dmz", "The phone is the router's DMZ host.", Dmz())
