"""What mitigations that change the network have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from siplab.lab.errors import UsageError
from siplab.lab.worlds.topology import RouterSpec, Topology


def the_phone(topology: Topology) -> str:
    """The name of the phone behind the router. Raises ``UsageError``."""
    for name, host in topology.hosts.items():
        if host.role == "phone":
            return name
    raise UsageError(f"topology '{topology.id}' has no host with role 'phone'")


def gateways_above(topology: Topology) -> list[tuple[str, str]]:
    """The NAT gateways between the phone and the internet, innermost first, each with the IPv4 address on
    its inside that stands for the phone: the phone's, or that of the gateway before.
    """
    host = topology.hosts[the_phone(topology)]
    networks = {network: address for network, address in host.all_interfaces.items() if ":" not in address}
    found: list[tuple[str, str]] = []
    while True:
        above = _above(topology, networks)
        if above is None:
            return found
        name, address = above
        found.append((name, address))
        outside = topology.routers[name].outside
        networks = {network: each for network, each in outside.items() if ":" not in each}


def _above(topology: Topology, networks: Mapping[str, str]) -> tuple[str, str] | None:
    for name, router in topology.gateways.items():
        for network in router.inside:
            if network in networks:
                return name, networks[network]
    return None


def with_routers(topology: Topology, routers: Mapping[str, Mapping[str, Any]], mitigation: str) -> Topology:
    """The topology with fields of the ``nat`` of some routers changed. Raises ``UsageError`` without any."""
    if not routers:
        raise UsageError(f"mitigation '{mitigation}': no NAT is above the phone in topology '{topology.id}'")
    data = topology.model_dump()
    for name, changes in routers.items():
        data["routers"][name]["nat"].update(changes)
    return Topology.model_validate(data)


def without(routers: Mapping[str, RouterSpec], name: str) -> dict[str, RouterSpec]:
    """All routers but one."""
    return {each: spec for each, spec in routers.items() if each != name}
