"""The endpoints of a case, and the ways in which its messages write addresses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from siplab import topologies
from siplab.experiments.calibration.weights import Dice
from siplab.lab.wire.ip import Endpoint

_HOME: Final = topologies.load("home")
INSIDE_IP: Final = _HOME.hosts["phone"].address
OTHER_INSIDE_IP: Final = _HOME.hosts["laptop"].address
PUBLIC_IP: Final = _HOME.routers["router"].outside["wan"]
SERVER_IP: Final = _HOME.hosts["registrar"].address
FOREIGN_IP: Final = _HOME.hosts["far-phone"].address


@dataclass(frozen=True)
class Flow:
    """One UDP flow through the router. The NAT keeps the port, so ``public`` is known in advance."""

    inside: Endpoint
    server: Endpoint

    @property
    def public(self) -> Endpoint:
        return Endpoint(PUBLIC_IP, self.inside.port)


@dataclass(frozen=True)
class View:
    """A message's sender and receiver, by the addresses that its packet has before the router."""

    source: Endpoint
    destination: Endpoint


_INSIDE_PORTS: Final = ((70, 5060), (8, 5062), (6, 40000), (5, 1024), (5, 65534), (6, 6060))
_SERVER_PORTS: Final = ((92, 5060), (8, 5080))


def flow(rng: Dice) -> Flow:
    """The flow of a case."""
    return Flow(Endpoint(INSIDE_IP, rng.pick(_INSIDE_PORTS)), Endpoint(SERVER_IP, rng.pick(_SERVER_PORTS)))


# What is written where a host and port are expected, seen from the endpoint that should be named there.
_HOSTPORTS: Final = (
    (56, "own"),
    (12, "own without port"),
    (7, "own with another port"),
    (5, "own with a strange port"),
    (7, "name"),
    (5, "foreign"),
    (4, "the other end"),
    (2, "the router's public address"),
    (1, "IPv6"),
    (1, "damaged"),
)
_ODD_PORTS: Final = (
    "0",
    "1",
    "80",
    "1023",
    "1024",
    "65535",
    "65536",
    "70000",
    "123456",
    "",
    "05060",
    "50x60",
)
_NAMES: Final = ("lab.test", "phone.lab.test:5060", "alice-pc", "1and1.test", "localhost:5061")
_DAMAGED: Final = ("{ip}0", "{ip}.5", "{ip}x", "0{ip}", "{ip} ", "[{ip}]", "192.168.1", "192.168.1.300", "")


def hostport(rng: Dice, own: Endpoint, other: Endpoint, *, kind: str = "") -> str:
    """A host with or without a port, most often that of ``own``."""
    kind = kind or rng.pick(_HOSTPORTS)
    match kind:
        case "own":
            return f"{own.ip}:{own.port}"
        case "own without port":
            return own.ip
        case "own with another port":
            return f"{own.ip}:{rng.choice((5060, 5061, 5070, 32768))}"
        case "own with a strange port":
            return f"{own.ip}:{rng.choice(_ODD_PORTS)}"
        case "name":
            return rng.choice(_NAMES)
        case "foreign":
            return rng.choice(
                (f"{FOREIGN_IP}:5060", OTHER_INSIDE_IP, f"{OTHER_INSIDE_IP}:5060", "10.9.8.7:5060")
            )
        case "the other end":
            return rng.choice((f"{other.ip}:{other.port}", other.ip))
        case "the router's public address":
            return f"{PUBLIC_IP}:{own.port}"
        case "IPv6":
            return "[2001:db8::5]:5060"
    return rng.choice(_DAMAGED).format(ip=own.ip)
