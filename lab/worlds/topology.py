"""The description of a network: hosts, networks and routers, as a topology file has them.

A *network* is one broadcast segment. A *host* has an address on one network, or on several. A *router* joins
networks: a plain router forwards; one with ``inside`` and ``outside`` is a NAT gateway that can hold an ALG.
The routes follow from that, see ``siplab.lab.worlds.network``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from siplab.lab.documents import MisplacedError
from siplab.lab.gateway.firewall import FirewallRule
from siplab.lab.gateway.nat_config import NatConfig
from siplab.lab.worlds.image_spec import Image, ImageSpec

# A router's ``alg`` that stands for the model that a trial names.
TRIAL: Final = "trial"
# The domain of the provider; hosts have names in it.
DOMAIN: Final = "lab.test"


def _name(value: str) -> str:
    # Names become interface and host names in the kernel, whose limit is 15 characters.
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,14}", value):
        raise ValueError("names are up to 15 lower-case letters, digits and '-', beginning with a letter")
    if value in ("lo", "all", "default"):
        raise ValueError(f"'{value}' is a name that the kernel needs for itself")
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


def _identifier(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]*", value):
        raise ValueError("ids are lower-case letters, digits and '-', beginning with a letter")
    return value


Identifier = Annotated[str, AfterValidator(_identifier)]
Name = Annotated[str, AfterValidator(_name)]
Share = Annotated[float, Field(ge=0, le=1)]
Address = Annotated[str, AfterValidator(_address)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NetworkSpec(_Strict):
    """One segment, and what it does to each packet that crosses it.

    ``mtu`` is in bytes, ``delay`` and ``jitter`` are in seconds: a packet takes ``delay``, plus or minus up
    to ``jitter``. ``loss``, ``reorder`` and ``duplicate`` are shares of packets (0 to 1): those that get
    lost, those that overtake others by crossing without delay, and those that arrive twice. ``bandwidth``:
    the most that each interface sends, in Mbit/s, 0 for no limit. It works only in the emulated world on the
    wall clock, where sending takes time.
    """

    subnet: Annotated[str, AfterValidator(_subnet)]
    mtu: Annotated[int, Field(ge=576, le=1500)] = 1500
    loss: Share = 0.0
    delay: Annotated[float, Field(ge=0, le=60)] = 0.0
    jitter: Annotated[float, Field(ge=0, le=60)] = 0.0
    reorder: Share = 0.0
    duplicate: Share = 0.0
    bandwidth: Annotated[float, Field(ge=0, le=100_000)] = 0.0

    @property
    def is_impaired(self) -> bool:
        return bool(self.loss or self.delay or self.jitter or self.reorder or self.duplicate)

    @model_validator(mode="after")
    def _possible(self) -> NetworkSpec:
        if self.jitter > self.delay:
            raise MisplacedError(f"'jitter' {self.jitter:g} is more than 'delay' {self.delay:g}", "jitter")
        if self.reorder and not self.delay:
            raise MisplacedError("'reorder' needs a 'delay': else nothing waits to be overtaken", "reorder")
        return self


class HostSpec(_Strict):
    """One computer or phone. ``role`` says what the lab's scenarios use it as.

    ``addresses`` maps further networks to the host's address there; the lab's agents use ``address``.
    ``image``: the container that is this host, in the emulated world only.
    """

    network: Name
    address: Address
    addresses: dict[Name, Address] = {}
    role: str = ""
    image: Image | None = None

    @property
    def all_interfaces(self) -> dict[str, str]:
        return {self.network: self.address, **self.addresses}

    @model_validator(mode="after")
    def _once(self) -> HostSpec:
        if self.network in self.addresses:
            raise MisplacedError(f"network '{self.network}' is named twice", "addresses", self.network)
        return self


class RouterSpec(_Strict):
    """A plain router has ``interfaces``; a NAT gateway has ``inside`` and ``outside`` instead.

    Each of these maps a network's name to the router's address there. ``alg``: the spec of the model in this
    gateway, for one that has its own model (``none`` for a carrier's); ``trial`` stands for the model that
    the trial names. ``firewall``: a gateway's rules; the first that matches decides. ``later``: by network,
    the public address that a gateway gets when its line is renewed; packets for either of the two addresses
    reach it. ``image``: a container that does all of the gateway's work; it has no model of the lab's.
    """

    interfaces: dict[Name, Address] = {}
    inside: dict[Name, Address] = {}
    outside: dict[Name, Address] = {}
    later: dict[Name, Address] = {}
    nat: NatConfig = NatConfig()
    alg: str = TRIAL
    firewall: tuple[FirewallRule, ...] = ()
    image: Image | None = None

    @property
    def is_gateway(self) -> bool:
        return bool(self.outside)

    @property
    def takes_trials_model(self) -> bool:
        """Whether the model that a trial names goes in here."""
        return self.is_gateway and self.alg == TRIAL and self.image is None

    @property
    def all_interfaces(self) -> dict[str, str]:
        return {**self.interfaces, **self.inside, **self.outside}

    @model_validator(mode="after")
    def _either_or(self) -> RouterSpec:
        if self.interfaces and (self.inside or self.outside):
            raise ValueError("a router has either 'interfaces' or 'inside' and 'outside', not both")
        if bool(self.inside) != bool(self.outside):
            raise ValueError("a NAT gateway needs both 'inside' and 'outside'")
        versions = [ipaddress.ip_address(address).version for address in self.outside.values()]
        if len(versions) > len(set(versions)):
            raise MisplacedError(
                "a NAT gateway has one network on its outside, or one of each IP version", "outside"
            )
        if not self.all_interfaces:
            raise ValueError("a router needs at least one network")
        for network, address in self.later.items():
            if network not in self.outside or ":" in address + self.outside[network]:
                raise MisplacedError(
                    f"only an IPv4 address outside can change, and '{network}' is none here", "later", network
                )
        own = {"alg": self.alg != TRIAL, "nat": self.nat != NatConfig(), "firewall": bool(self.firewall)}
        for name, is_set in own.items():
            if is_set and not self.outside:
                raise MisplacedError(f"a router with 'interfaces' does not translate: no '{name}' here", name)
            if is_set and self.image is not None:
                raise MisplacedError(f"the image does a router's work in its own way: no '{name}' here", name)
        if self.image is not None and self.later:
            raise MisplacedError("the image has its own way to get an address: no 'later' here", "later")
        if self.image is not None and not self.outside:
            raise MisplacedError("an image takes a gateway's place: it needs 'inside' and 'outside'", "image")
        return self


class Topology(_Strict):
    """A whole network. Raises pydantic's ``ValidationError`` when the parts do not fit together."""

    id: Identifier
    summary: str
    networks: dict[Name, NetworkSpec]
    hosts: dict[Name, HostSpec]
    routers: dict[Name, RouterSpec] = {}

    @model_validator(mode="after")
    def _fits(self) -> Topology:
        seen: dict[str, str] = {}
        later = [(*row, ("routers", row[0], "later", row[1])) for row in self.renewals()]
        now = [(*row, self._place(row[0], row[1])) for row in self.attachments()]
        for node, network, address, place in now + later:
            spec = self.networks.get(network)
            if spec is None:
                raise MisplacedError(
                    f"'{node}' is on network '{network}', which is not among 'networks' "
                    f"({', '.join(self.networks)})",
                    *place,
                )
            if ipaddress.ip_address(address) not in ipaddress.ip_network(spec.subnet):
                raise MisplacedError(
                    f"address {address} of '{node}' is outside {network}'s subnet {spec.subnet}", *place
                )
            if address in seen and (seen[address] != node or place[2:3] == ("later",)):
                raise MisplacedError(
                    f"address {address} is given to both '{seen[address]}' and '{node}'", *place
                )
            seen[address] = node
        clash = set(self.hosts) & set(self.routers)
        if clash:
            raise MisplacedError(f"'{min(clash)}' is both a host and a router", "routers", min(clash))
        return self

    def _place(self, node: str, network: str) -> tuple[str, ...]:
        """Where in the file the network of a node is written."""
        host = self.hosts.get(node)
        if host is not None:
            return ("hosts", node) if network == host.network else ("hosts", node, "addresses", network)
        router = self.routers[node]
        kinds = {"interfaces": router.interfaces, "inside": router.inside, "outside": router.outside}
        return ("routers", node, next(kind for kind, names in kinds.items() if network in names), network)

    def attachments(self) -> list[tuple[str, str, str]]:
        """``(node, network, address)`` of every interface, hosts first, in file order."""
        nodes: list[tuple[str, HostSpec | RouterSpec]] = [*self.hosts.items(), *self.routers.items()]
        return [
            (name, network, address)
            for name, node in nodes
            for network, address in node.all_interfaces.items()
        ]

    def renewals(self) -> list[tuple[str, str, str]]:
        """``(gateway, network, address)`` of every public address that a gateway gets later."""
        return [
            (name, network, address)
            for name, router in self.routers.items()
            for network, address in router.later.items()
        ]

    @property
    def images(self) -> dict[str, ImageSpec]:
        """The hosts and gateways that are containers."""
        nodes: list[tuple[str, HostSpec | RouterSpec]] = [*self.routers.items(), *self.hosts.items()]
        return {name: node.image for name, node in nodes if node.image is not None}

    @property
    def gateways(self) -> dict[str, RouterSpec]:
        """The routers that translate addresses."""
        return {name: router for name, router in self.routers.items() if router.is_gateway}


class Variant(_Strict):
    """A topology that differs from another, ``like: ID(parameter=value)``, with an id of its own."""

    id: Identifier
    summary: str
    like: str


# What a topology file holds.
TopologyFile = Topology | Variant

NAT_PARAMETERS: Final = tuple(each.name for each in fields(NatConfig))
LINK_PARAMETERS: Final = tuple(name for name in NetworkSpec.model_fields if name != "subnet")


def varied(topology: Topology, values: Mapping[str, Any]) -> Topology:
    """The topology with other parameters at the routers that take the trial's model.

    A field of ``NatConfig`` changes the routers themselves, a field of ``NetworkSpec`` the networks on their
    outside. Raises ``KeyError`` for any other name, pydantic's ``ValidationError`` for a wrong value.
    """
    data = topology.model_dump()
    routers = [name for name, router in topology.gateways.items() if router.takes_trials_model]
    for name, value in values.items():
        if name in NAT_PARAMETERS:
            for router in routers:
                data["routers"][router]["nat"][name] = value
        elif name in LINK_PARAMETERS:
            for router in routers:
                for network in topology.routers[router].outside:
                    data["networks"][network][name] = value
        else:
            raise KeyError(name)
    return Topology.model_validate(data)
