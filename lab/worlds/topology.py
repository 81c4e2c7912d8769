"""A network on paper: hosts, networks and routers, as a topology file describes them.

A *network* is one broadcast segment. A *host* has one address on one network. A *router*
joins networks: a plain one forwards; one with ``inside`` and ``outside`` is a NAT gateway
that can hold an ALG. Routes follow from that, see ``lab.worlds.network``.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from lab.gateway.nat import NatConfig


def _name(value: str) -> str:
    # Names become interface and host names in the kernel, whose limit is 15 characters.
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,14}", value):
        raise ValueError("names are up to 15 lower-case letters, digits and '-', beginning with a letter")
    return value


def _address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError(f"'{value}' is not an IP address") from None


def _subnet(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError as error:
        raise ValueError(f"'{value}' is not a network such as 192.168.1.0/24: {error}") from None


Name = Annotated[str, AfterValidator(_name)]
Address = Annotated[str, AfterValidator(_address)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NetworkSpec(_Strict):
    """One segment. ``mtu`` is in bytes."""

    subnet: Annotated[str, AfterValidator(_subnet)]
    mtu: Annotated[int, Field(ge=576, le=1500)] = 1500


class HostSpec(_Strict):
    """One computer or phone. ``role`` says what the lab's scenarios use it as."""

    network: Name
    address: Address
    role: str = ""


class RouterSpec(_Strict):
    """A plain router has ``interfaces``; a NAT gateway has ``inside`` and ``outside`` instead.

    Each maps a network's name to the router's address there.
    """

    interfaces: dict[Name, Address] = {}
    inside: dict[Name, Address] = {}
    outside: dict[Name, Address] = {}
    nat: NatConfig = NatConfig()

    @property
    def is_gateway(self) -> bool:
        return bool(self.outside)

    @property
    def all_interfaces(self) -> dict[str, str]:
        return {**self.interfaces, **self.inside, **self.outside}

    @model_validator(mode="after")
    def _either_or(self) -> RouterSpec:
        if self.interfaces and (self.inside or self.outside):
            raise ValueError("a router has either 'interfaces' or 'inside' and 'outside', not both")
        if bool(self.inside) != bool(self.outside):
            raise ValueError("a NAT gateway needs both 'inside' and 'outside'")
        if len(self.outside) > 1:
            raise ValueError("a NAT gateway has one network on its outside")
        if not self.all_interfaces:
            raise ValueError("a router needs at least one network")
        return self


class Topology(_Strict):
    """A whole network. Raises pydantic's ``ValidationError`` when the parts don't fit."""

    id: Name
    summary: str
    networks: dict[Name, NetworkSpec]
    hosts: dict[Name, HostSpec]
    routers: dict[Name, RouterSpec] = {}

    @model_validator(mode="after")
    def _fits(self) -> Topology:
        seen: dict[str, str] = {}
        for node, network, address in self.attachments():
            spec = self.networks.get(network)
            if spec is None:
                raise ValueError(f"'{node}' is on network '{network}', which is not among 'networks'")
            if ipaddress.ip_address(address) not in ipaddress.ip_network(spec.subnet):
                raise ValueError(f"address {address} of '{node}' is outside {network}'s subnet {spec.subnet}")
            if address in seen and seen[address] != node:
                raise ValueError(f"address {address} is given to both '{seen[address]}' and '{node}'")
            seen[address] = node
        clash = set(self.hosts) & set(self.routers)
        if clash:
            raise ValueError(f"'{min(clash)}' is both a host and a router")
        return self

    def attachments(self) -> list[tuple[str, str, str]]:
        """``(node, network, address)`` of every interface, hosts first, in file order."""
        rows = [(name, host.network, host.address) for name, host in self.hosts.items()]
        for name, router in self.routers.items():
            rows.extend((name, network, address) for network, address in router.all_interfaces.items())
        return rows

    @property
    def gateways(self) -> dict[str, RouterSpec]:
        """The routers that translate addresses."""
        return {name: router for name, router in self.routers.items() if router.is_gateway}
