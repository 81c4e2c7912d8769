"""SIP that no ALG can read, the same byte for byte each time: a stand-in for TLS.

SIP goes in sealed datagrams on port 5061: an ALG sees bytes that mean nothing to it, as it would with TLS.
What TLS does besides is not played: TCP's longer bindings in the NAT, certificates, and what a router that
breaks TCP does. ``tls`` has all that, and bytes that differ from run to run.

Helps against every ALG that reads. What a correct ALG would have done is not done either: bindings end,
and a server that believes addresses does not reach the phone. Media are not sealed.
Source: the articles "What is SIP ALG?" and "Why SIP ALG is the Hidden VoIP Killer"
name TLS among the ways round an ALG that can't be switched off.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from siplab.experiments.mitigations._actors import Actor
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Setup


@dataclass(frozen=True)
class PseudoTls:
    """``port`` of the server is used, with sealed SIP."""

    actors: ClassVar = (Actor.PHONE, Actor.PROVIDER)

    port: Annotated[int, Ge(1), Le(65535)] = 5061

    def apply(self, setup: Setup) -> Setup:
        ports = tuple(sorted({5060, self.port}))
        return replace(
            setup,
            sip_port=self.port,
            phone={**setup.phone, "secure_port": self.port},
            far_phone={**setup.far_phone, "secure_port": self.port},
            server={**setup.server, "ports": ports, "secure_port": self.port},
        )


ITEM = Item("pseudo-tls", "SIP is enciphered, the same each time: a stand-in for TLS.", PseudoTls())
