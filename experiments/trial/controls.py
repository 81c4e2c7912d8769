"""The clean controls: networks without an ALG in which a detector has nothing to find.

One row per way in which an honest network surprises detectors. The model is ``none`` in all of them. A row
whose topology does not exist is left out. That a server writes ``received`` and ``rport`` into Via (RFC 3261
section 18.2.1, RFC 3581) has no row of its own: the lab's servers do so in every answer, on every network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from siplab import topologies
from siplab.experiments.trial.stage import Setup


@dataclass(frozen=True)
class Control:
    """``phone`` and ``server`` override fields of the agents' configurations, as in ``Setup``."""

    name: str
    summary: str
    topology: str = "home"
    phone: Mapping[str, Any] = field(default_factory=dict)
    server: Mapping[str, Any] = field(default_factory=dict)

    def apply(self, setup: Setup) -> Setup:
        return replace(setup, phone={**setup.phone, **self.phone}, server={**setup.server, **self.server})


CONTROLS: Final = (
    Control("plain-nat", "the home router with no ALG in it"),
    Control("no-nat", "a phone on a public address, nothing translated", "no-nat"),
    # The four classic names (RFC 3489 section 5).
    Control("full-cone", "a full cone NAT", "nat-full-cone"),
    Control("restricted-cone", "a restricted cone NAT", "nat-restricted-cone"),
    Control("port-restricted-cone", "a port restricted cone NAT", "nat-port-restricted-cone"),
    Control("symmetric", "a symmetric NAT", "nat-symmetric"),
    # The other combinations of mapping and filtering (RFC 4787 sections 4.1 and 5).
    Control("mapping-address-filtering-open", "address-dependent mapping, open filtering", "nat-adm-eif"),
    Control("mapping-address-filtering-address", "address-dependent mapping and filtering", "nat-adm-adf"),
    Control("mapping-address-filtering-port", "address-dependent mapping, filtering by port", "nat-adm-apdf"),
    Control("mapping-port-filtering-open", "mapping by address and port, open filtering", "nat-apdm-eif"),
    Control(
        "mapping-port-filtering-address", "mapping by address and port, filtering by address", "nat-apdm-adf"
    ),
    # How ports are chosen, and what else a NAT may do (RFC 4787 sections 4.2 and 6).
    Control("port-preservation", "a NAT that keeps the phone's port", "nat-preserving"),
    Control("random-ports", "a NAT that chooses public ports at random", "nat-random-ports"),
    Control("static-port", "a NAT with a static mapping of the phone's SIP port", "nat-static-port"),
    Control("no-hairpinning", "a NAT without hairpinning", "nat-no-hairpin"),
    Control("dmz-host", "a NAT that sends everything unsolicited to the phone", "dmz"),
    Control("short-timers", "a NAT that forgets UDP bindings within seconds", "short-timers"),
    # More than one router, or another kind of network.
    Control("double-nat", "two NATs in a row", "double-nat"),
    Control("carrier-grade-nat", "a home NAT behind the carrier's (RFC 6888)", "cgnat"),
    Control("dual-stack", "IPv4 by NAT and IPv6 side by side", "dual-stack"),
    Control("ipv6", "IPv6 behind a stateful firewall (RFC 6092)", "ipv6"),
    Control("proxy", "a real proxy in the path, which the phone addresses", "proxied"),
    # Servers whose messages look as if an ALG had been at them, and are as the server sent them.
    Control(
        "private-record-route",
        "a proxy that shows a private address of its own",
        server={"private_own": True},
    ),
    Control(
        "private-contact",
        "a back-to-back user agent that shows a private address of its own",
        server={"private_own": True, "b2bua": True},
    ),
    Control(
        "rport-unasked",
        "a server that writes received and rport into every Via, asked or not",
        phone={"rport": False},
        server={"rport": "always"},
    ),
    Control(
        "media-relay",
        "a session border controller: a call has two dialogs, and media go through it",
        server={"b2bua": True, "relay_when": "always"},
    ),
    # Another seed, another fate: most exchanges are too short to lose a packet every time.
    *(
        Control(f"loss-{day}", "a line that loses, delays and repeats packets", "lossy")
        for day in range(1, 6)
    ),
)


def available() -> list[Control]:
    """The controls whose topologies are there."""
    known = set(topologies.available())
    return [each for each in CONTROLS if each.topology in known]


_BY_NAME: Final = {each.name: each for each in CONTROLS}


def get(name: str) -> Control:
    """The control of that name."""
    return _BY_NAME[name]
