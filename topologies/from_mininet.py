"""A Mininet ``Topo`` as a topology: ``FILE.py`` or ``FILE.py:NAME``, a class or an entry of ``topos``.

The rules of this file:

- Switches that are linked to each other are one network, named after the first of them. A link between two
  hosts is a network, too. Hosts with one network are hosts; those with several are routers.
- A router between private addresses (RFC 1918) and others translates, as a router at home does. Options in
  ``addHost`` override that (``inside``, ``outside``: lists of switches; ``alg``, ``nat``).
- ``role`` in ``addHost`` is a host's role. A host named ``phone``, ``far-phone``... has that role by default.
- A host without ``ip`` gets the address that Mininet would give it.
- ``delay``, ``jitter``, ``loss`` and ``bw`` of links become those of the network. A packet crosses two links
  at a switch, so the network's delay is twice the link's.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from siplab.lab import foreign, interrupts
from siplab.lab.errors import UsageError
from siplab.lab.plugins import from_path
from siplab.lab.worlds.topology import Topology

_SPEC: Final = re.compile(r"(?P<file>.*\.py)(?::(?P<name>[A-Za-z_][A-Za-z0-9_-]*))?")
_ROLES: Final = {
    name: name for name in ("phone", "second-phone", "far-phone", "outbound-proxy", "server")
} | {"registrar": "server"}
_BASE: Final = ipaddress.ip_network("10.0.0.0/8")  # Mininet's ipBase
_PRIVATE: Final = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
_SECONDS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "": 1e-6}  # tc takes a bare number as microseconds


def is_one(spec: str) -> bool:
    """Whether a topology's spec names a Python file."""
    return _SPEC.fullmatch(spec) is not None


def load(spec: str) -> Topology:
    """The topology of a Python file. Raises ``UsageError``."""
    try:
        from mininet.topo import Topo
    except ImportError:
        raise UsageError(
            f"{spec}: the Python package 'mininet' is missing: pip install 'siplab[emulated]'"
        ) from None
    found = _SPEC.fullmatch(spec)
    assert found is not None
    ((module, origin),) = from_path(Path(found["file"]), "topology")
    known = {str(name): make for name, make in dict(getattr(module, "topos", {})).items()}
    for name, value in vars(module).items():
        if isinstance(value, type) and issubclass(value, Topo) and value.__module__ == module.__name__:
            known.setdefault(name, value)
    name = found["name"] or (next(iter(known)) if len(known) == 1 else "")
    if name not in known:
        choice = ", ".join(f"{found['file']}:{each}" for each in known)
        raise UsageError(
            f"{origin}: name one of its topologies: {choice}" if choice else f"{origin}: has no Topo"
        )
    try:
        topo = known[name]()
        data = _Reader(topo, name).data()
    except UsageError as error:
        raise UsageError(f"{origin}: {error}") from None
    except BaseException as error:
        if interrupts.is_users(error):
            raise
        raise UsageError(f"{origin}: {name}: {foreign.told(error)}") from None
    try:
        return Topology.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{origin}: {name}{f': {field}' if field else ''}: {message}") from None


class _Reader:
    """Reads a ``Topo``'s graph. Raises ``UsageError`` for what a topology can't express."""

    def __init__(self, topo: Any, name: str) -> None:
        self._topo = topo
        self._id = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "topo"
        self._links: list[tuple[str, str, dict[str, Any]]] = [
            (str(one), str(other), dict(info)) for one, other, info in topo.links(withInfo=True)
        ]
        self._switches = [str(each) for each in topo.switches()]
        self._hosts = [str(each) for each in topo.hosts()]
        self._network_of = self._joined()
        self._direct: dict[int, str] = {}
        self._members: dict[str, dict[str, dict[str, Any]]] = {}  # network -> host -> options of its link
        for number, (one, other, info) in enumerate(self._links):
            self._enter(number, one, other, info)

    def data(self) -> dict[str, Any]:
        """The content of a topology file."""
        addresses = self._addresses()
        networks = {name: self._network(name, addresses) for name in self._members}
        hosts, routers = {}, {}
        for host in self._hosts:
            places = {network: str(each.ip) for (who, network), each in addresses.items() if who == host}
            info = dict(self._topo.nodeInfo(host))
            if len(places) > 1:
                routers[host] = self._router(places, info)
            elif places:
                network, address = next(iter(places.items()))
                role = info.get("role", _ROLES.get(host, ""))
                hosts[host] = {"network": network, "address": address, "role": role}
        summary = f"{self._id} of Mininet"
        return {"id": self._id, "summary": summary, "networks": networks, "hosts": hosts, "routers": routers}

    def _joined(self) -> dict[str, str]:
        """The network that each switch belongs to."""
        network = {each: each for each in self._switches}
        for one, other, _ in self._links:
            if one in network and other in network:
                first, second = sorted((network[one], network[other]), key=self._switches.index)
                network = {name: first if each == second else each for name, each in network.items()}
        return network

    def _enter(self, number: int, one: str, other: str, info: dict[str, Any]) -> None:
        switches = [each for each in (one, other) if each in self._network_of]
        if len(switches) == 2:
            if any(info.get(each) for each in ("delay", "jitter", "loss", "bw")):
                raise UsageError(
                    f"the link {one}-{other} joins two switches: give delay and bw to hosts' links"
                )
            return
        network = self._network_of[switches[0]] if switches else f"link{number + 1}"
        for node, mine in ((one, "params1"), (other, "params2")):
            if node not in self._network_of:
                own = {**info, "ip": (info.get(mine) or {}).get("ip"), "direct": not switches}
                if node in self._members.setdefault(network, {}):
                    raise UsageError(f"'{node}' has two links to network '{network}'")
                self._members[network][node] = own

    def _addresses(self) -> dict[tuple[str, str], Any]:
        found = {}
        for number, host in enumerate(self._hosts, 1):
            info = self._topo.nodeInfo(host)
            first = info.get("ip") or f"{_BASE[number]}/{_BASE.prefixlen}"
            for at, network in enumerate(each for each in self._members if host in self._members[each]):
                text = self._members[network][host]["ip"] or (first if at == 0 else None)
                if text is None:
                    raise UsageError(
                        f"'{host}' has no address on '{network}': give its link params1 or params2"
                    )
                found[host, network] = _interface(host, str(text))
        return found

    def _network(self, name: str, addresses: dict[tuple[str, str], Any]) -> dict[str, Any]:
        subnets = {each.network for (_, network), each in addresses.items() if network == name}
        if len(subnets) != 1:
            raise UsageError(f"network '{name}' has several subnets: {', '.join(sorted(map(str, subnets)))}")
        made: dict[str, Any] = {"subnet": str(next(iter(subnets)))}
        links = list(self._members[name].values())
        crossed = 1 if any(each["direct"] for each in links) else 2
        for option in ("delay", "jitter", "loss", "bw"):
            values = {each.get(option) for each in links}
            if len(values) > 1:
                raise UsageError(f"network '{name}': its links differ in '{option}', and a network has one")
            value = next(iter(values))
            if not value:
                continue
            if option == "bw":
                made["bandwidth"] = float(value)
            elif option == "loss":
                made["loss"] = 1 - (1 - float(value) / 100) ** crossed
            else:
                made[option] = crossed * _seconds(value, f"network '{name}': {option}")
        return made

    def _router(self, places: dict[str, str], info: dict[str, Any]) -> dict[str, Any]:
        private = [network for network, address in places.items() if _is_private(address)]
        public = [network for network in places if network not in private]
        inside = [self._network_of.get(each, each) for each in info.get("inside", private)]
        outside = [self._network_of.get(each, each) for each in info.get("outside", public)]
        own: dict[str, Any] = {name: info[name] for name in ("alg", "nat", "image") if name in info}
        if not (inside and outside):
            return {"interfaces": places, **own}
        for network in (*inside, *outside):
            if network not in places:
                raise UsageError(
                    f"a router has no link to '{network}', which its 'inside' or 'outside' names"
                )
        return {
            "inside": {each: places[each] for each in inside},
            "outside": {each: places[each] for each in outside},
            **own,
        }


def _interface(host: str, text: str) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    try:
        return ipaddress.ip_interface(text if "/" in text else f"{text}/{_BASE.prefixlen}")
    except ValueError as error:
        raise UsageError(f"'{host}': {error}") from None


def _is_private(address: str) -> bool:
    found = ipaddress.ip_address(address)
    return any(found in each for each in _PRIVATE)


def _seconds(value: object, field: str) -> float:
    found = re.fullmatch(r"\s*([0-9.]+)\s*(us|ms|s|)\s*", str(value))
    if found is None:
        raise UsageError(f"{field} '{value}' is not written 5ms")
    return float(found[1]) * _SECONDS[found[2]]
