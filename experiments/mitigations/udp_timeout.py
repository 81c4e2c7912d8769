"""The router forgets UDP flows later: 300 s, as RFC 4787 recommends.

Helps against bindings that end between two registrations, or in a silent call, where the router has such
a setting. It does not help against altered messages, nor where nothing is sent for longer than that; and
a long timeout leaves more doors open for longer.
Source: RFC 4787 REQ-5 (two minutes at least, five recommended); pfSense's, MikroTik's and DrayTek's
manuals on VoIP recommend it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Gt

from siplab.experiments.mitigations._actors import Actor
from siplab.experiments.mitigations._rewiring import gateways_above, with_routers
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Setup
from siplab.lab.worlds.topology import Topology


@dataclass(frozen=True)
class UdpTimeout:
    """``seconds``: of every flow, new ones too, in every router above the phone."""

    actors: ClassVar = (Actor.ROUTER,)

    seconds: Annotated[float, Gt(0)] = 300.0

    def apply(self, setup: Setup) -> Setup:
        return setup

    def rewire(self, topology: Topology) -> Topology:
        timers = {"udp_timeout": self.seconds, "udp_new_timeout": 0.0}
        changes = {name: timers for name, _ in gateways_above(topology)}
        return with_routers(topology, changes, "udp-timeout")


ITEM = Item("udp-timeout", "The router keeps UDP bindings for five minutes.", UdpTimeout())
