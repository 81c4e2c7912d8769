"""SIP over TLS, which no ALG can read (RFC 3261 section 26.3.1, RFC 8446): a real handshake, over TCP.

The phones speak to the server's port 5061, and look at its certificate: who signed it, until when it is
valid, and for which name (RFC 5922). What they refuse they do not speak to, so a wrong certificate is as good
as no service. With ``media=srtp`` the sound is encrypted too, with keys from the description (RFC 4568).

Helps against every ALG that reads. What a correct ALG would have done is not done either: a server that
believes addresses does not reach the phone, and media find no way by it. TCP's bindings live longer than
UDP's; with nothing sent they end too. It does not help where a router stops TCP.

Keys are drawn by OpenSSL, so the bytes differ each time and what comes of them does not: trials are compared
by outcome. For sweeps that have to be the same byte for byte there is ``pseudo-tls``.
Source: the articles "What is SIP ALG?" and "Why SIP ALG is the Hidden VoIP Killer"
name TLS among the ways round an ALG that can't be switched off.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Le

from siplab.experiments.mitigations._actors import Actor
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Certificate, Setup
from siplab.lab.errors import CapabilityError


@dataclass(frozen=True)
class Tls:
    """``port``: of the server. ``certificate``: the server's: valid, out of date, for another name, or signed
    by nobody whom phones know. ``media``: ``srtp`` takes encrypted media only.

    ``package``: what must be installed for it. ``stand_in``: what sweeps have in its place.
    """

    actors: ClassVar = (Actor.PHONE, Actor.PROVIDER)
    package: ClassVar[str] = "trustme"
    stand_in: ClassVar[str] = "pseudo-tls"

    port: Annotated[int, Ge(1), Le(65535)] = 5061
    certificate: Certificate = "right"
    media: Literal["rtp", "srtp"] = "rtp"

    def apply(self, setup: Setup) -> Setup:
        if find_spec(self.package) is None:
            raise CapabilityError("mitigation 'tls' needs certificates: pip install 'siplab[tls]'")
        phone: dict[str, Any] = {"transport": "tls"}
        if self.media == "srtp":
            phone["srtp"] = True
        ports = tuple(sorted({5060, self.port}))
        served = {"ports": ports, "transports": ("udp", "tcp"), "tls_port": self.port}
        return replace(
            setup,
            sip_port=self.port,
            phone={**setup.phone, **phone},
            far_phone={**setup.far_phone, **phone},
            server={**setup.server, **served},
            certificate=self.certificate,
        )


ITEM = Item("tls", "SIP over TLS, with certificates: no ALG can read it.", Tls())
