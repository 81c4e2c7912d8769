"""The routers' firewalls let telephony pass: their rules are taken away.

Helps where a rule blocks SIP or media, whatever the ALG does: "if problems remain, check the firewall". It
does nothing against altered messages, and what NAT filters stays filtered. A provider's firewall is not the
customer's to open.
Source: the founding article B, "please check your firewall configuration".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from siplab.experiments.mitigations._actors import Actor
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Setup
from siplab.lab.errors import UsageError
from siplab.lab.worlds.topology import TRIAL, Topology


@dataclass(frozen=True)
class FirewallOpen:
    """No ``firewall`` on the customer's routers: those that may have the trial's ALG."""

    actors: ClassVar = (Actor.ROUTER,)

    def apply(self, setup: Setup) -> Setup:
        return setup

    def rewire(self, topology: Topology) -> Topology:
        data = topology.model_dump()
        opened = False
        for name, router in topology.gateways.items():
            if router.firewall and router.alg == TRIAL:
                data["routers"][name]["firewall"] = ()
                opened = True
        if not opened:
            raise UsageError(
                f"mitigation 'firewall-open': no router at home has rules in topology '{topology.id}'"
            )
        return Topology.model_validate(data)


ITEM = Item("firewall-open", "The router's firewall lets SIP and media pass.", FirewallOpen())
