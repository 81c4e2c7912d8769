"""The settings of a NAT, in the terms of RFC 4787. They never change while the NAT runs."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Dependence(StrEnum):
    """RFC 4787's three behaviours, for mapping (section 4.1) and for filtering (section 5)."""

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"


class PortAllocation(StrEnum):
    """How a public port is chosen (RFC 4787 section 4.2.1)."""

    PRESERVE = "preserve"  # the inside port where it is free, else the next free one
    SEQUENTIAL = "sequential"
    RANDOM = "random"  # from the trial's seeded generator


class Refresh(StrEnum):
    """Which direction of traffic keeps a binding alive (RFC 4787 REQ-6)."""

    OUTBOUND = "outbound"
    INBOUND = "inbound"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class StaticMapping:
    """A public port that always stands for one inside endpoint (the term is from RFC 6887 section 3)."""

    port: int
    inside: str
    inside_port: int = 0  # 0: the same as outside
    protocol: Literal["udp", "tcp"] = "udp"

    def __post_init__(self) -> None:
        if not 1 <= self.port <= 65535 or not 0 <= self.inside_port <= 65535:
            raise ValueError(f"static mapping of port {self.port}: ports are 1 to 65535")
        _require_ipv4(self.inside, f"static mapping of port {self.port}")


@dataclass(frozen=True, slots=True)
class NatConfig:
    """The choices of one NAT. Times are in seconds."""

    # False: a router that only routes, behind a stateful firewall (``ipv6_filtering`` says of which kind).
    translates: bool = True
    mapping: Dependence = Dependence.ENDPOINT_INDEPENDENT
    filtering: Dependence = Dependence.ADDRESS_AND_PORT_DEPENDENT
    port_allocation: PortAllocation = PortAllocation.PRESERVE
    port_parity: bool = True  # an even port stays even, an odd one odd (RFC 4787 REQ-4)
    first_port: int = 1024  # a port that is not preserved comes from this range
    last_port: int = 65535
    hairpinning: bool = True
    refresh: Refresh = Refresh.OUTBOUND
    udp_timeout: float = 300.0  # RFC 4787 REQ-5: at least 120, 300 recommended
    # For a UDP binding until it has had an answer and a packet later than 2 s after it began. Netfilter calls
    # this nf_conntrack_udp_timeout (30 there, and 120 for ``udp_timeout``). 0: the same as ``udp_timeout``.
    udp_new_timeout: float = 0.0
    tcp_timeout: float = 7440.0  # RFC 5382 REQ-5: established, 2 h 4 min
    tcp_transitory_timeout: float = 240.0  # RFC 5382 REQ-5: opening or closing
    icmp_timeout: float = 60.0  # RFC 5508 REQ-2
    # Whether media from an inside endpoint leave by the public port that an ALG announced for it.
    media_symmetry: bool = True
    # Whether mappings keep their public address when the router gets another one.
    mappings_outlive_address: bool = False
    static_mappings: tuple[StaticMapping, ...] = ()
    dmz_host: str = ""  # the inside address that gets packets without a binding; empty: nobody
    # The firewall for packets that are not translated, such as IPv6 (RFC 6092); ``None``: no firewall.
    ipv6_filtering: Dependence | None = Dependence.ADDRESS_AND_PORT_DEPENDENT

    def __post_init__(self) -> None:
        if not 1 <= self.first_port <= self.last_port <= 65535:
            raise ValueError(f"port range {self.first_port}-{self.last_port} is not within 1-65535")
        for name in ("udp_timeout", "tcp_timeout", "tcp_transitory_timeout", "icmp_timeout"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0 seconds")
        if self.udp_new_timeout < 0:
            raise ValueError("udp_new_timeout must be 0 seconds or more")
        ports = [(each.protocol, each.port) for each in self.static_mappings]
        if len(set(ports)) < len(ports):
            raise ValueError("two static mappings have the same public port")
        if self.dmz_host:
            _require_ipv4(self.dmz_host, "dmz_host")


def _require_ipv4(address: str, what: str) -> None:
    try:
        ipaddress.IPv4Address(address)
    except ValueError:
        raise ValueError(f"{what}: '{address}' is not an IPv4 address") from None
