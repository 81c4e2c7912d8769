"""Phones and server speak IPv6: there is no translation, and nothing for an ALG to translate.

Helps against all that an ALG for IPv4 does. The firewall's bindings end as a NAT's do, and an ALG may open
pinholes in it or damage what it reads all the same; few networks have IPv6 everywhere. Needs a network
with both, such as ``dual-stack``.
Source: "What is SIP ALG?" names it among the ways round an ALG that can't be
switched off; RFC 6092.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from siplab.experiments.mitigations._actors import Actor
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Setup
from siplab.lab.errors import UsageError
from siplab.lab.worlds.topology import Topology


@dataclass(frozen=True)
class Ipv6:
    """Every host is used by its IPv6 address."""

    actors: ClassVar = (Actor.PHONE, Actor.PROVIDER, Actor.LINE)

    def apply(self, setup: Setup) -> Setup:
        return setup

    def rewire(self, topology: Topology) -> Topology:
        data = topology.model_dump()
        for name, host in topology.hosts.items():
            found = next((row for row in host.all_interfaces.items() if ":" in row[1]), None)
            if found is None:
                raise UsageError(
                    f"mitigation 'ipv6': host '{name}' of topology '{topology.id}' has no IPv6 address; "
                    "use a network with both, such as 'dual-stack'"
                )
            network, address = found
            others = {each: value for each, value in host.all_interfaces.items() if each != network}
            data["hosts"][name].update(network=network, address=address, addresses=others)
        return Topology.model_validate(data)


ITEM = Item("ipv6", "Phones and server speak IPv6.", Ipv6())
