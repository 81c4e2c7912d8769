"""The clean controls: networks without an ALG in which a detector has nothing to find.

Each row is one way in which a network without an ALG surprises detectors. The model is ``none`` in all of
them. A row whose topology does not exist is left out.

Some rows are about servers whose messages look as if an ALG had changed them, although they arrive as they
were sent. A detector that uses the lab's server meets that server, often from a card with evidence. Most
detectors bring a *reflector* instead, which follows a script and can't act as any other server. It writes
what that server would write (``shown``). Servers that write ``received`` and ``rport`` into Via (RFC 3261
section 18.2.1, RFC 3581) need no row: the reflector does so in every answer, on every network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from siplab import topologies
from siplab.experiments.trial import registry
from siplab.experiments.trial.stage import Setup
from siplab.lab.server.core import PRIVATE_OWN
from siplab.lab.wire.ip import Endpoint


@dataclass(frozen=True)
class Control:
    """``phone``, ``server`` and ``shown`` are as in ``Setup``; ``kind`` is that of the server."""

    name: str
    summary: str
    topology: str = "home"
    phone: Mapping[str, Any] = field(default_factory=dict)
    server: Mapping[str, Any] = field(default_factory=dict)
    kind: str = ""
    shown: Endpoint | None = None

    def apply(self, setup: Setup) -> Setup:
        if self.kind:
            setup = registry.servers().get(self.kind).settings.apply(setup)
        return replace(
            setup,
            phone={**setup.phone, **self.phone},
            server={**setup.server, **self.server},
            shown=self.shown or setup.shown,
        )


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
    # Servers whose messages look as if an ALG had changed them, though they arrive as sent.
    Control(
        "private-record-route",
        "a proxy that shows a private address of its own",
        server={"private_own": True},
        shown=PRIVATE_OWN,
    ),
    Control(
        "private-contact",
        "a back-to-back user agent that shows a private address of its own",
        server={"private_own": True, "b2bua": True},
        shown=PRIVATE_OWN,
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
    # Servers as described by cards with evidence.
    Control("server-proxy-plain", "a proxy that does nothing about NAT", kind="proxy-plain"),
    Control(
        "server-proxy-always",
        "a proxy that treats every phone as one behind NAT",
        kind="proxy-always",
    ),
    Control("server-pbx-nat", "a PBX set up for phones behind NAT", kind="pbx-nat"),
    Control("server-pbx-plain", "a PBX as it comes", kind="pbx-plain"),
    Control("server-freeswitch", "FreeSWITCH", kind="freeswitch"),
    Control(
        "server-sbc-hnt",
        "a session border controller with hosted NAT traversal",
        kind="sbc-hnt",
    ),
    Control("server-trunk", "a provider's trunk", kind="trunk"),
    # Several seeds, because most exchanges are too short to lose a packet with every seed.
    *(
        Control(f"loss-{day}", "a line that loses, delays and repeats packets", "lossy")
        for day in range(1, 6)
    ),
)


def available() -> list[Control]:
    """The controls whose topologies exist."""
    known = set(topologies.available())
    return [each for each in CONTROLS if each.topology in known]


_BY_NAME: Final = {each.name: each for each in CONTROLS}


def get(name: str) -> Control:
    """The control of that name."""
    return _BY_NAME[name]
