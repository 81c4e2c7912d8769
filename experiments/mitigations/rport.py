"""The phone asks for answers at the port that it sent from: RFC 3581.

Helps a phone that does not do so by itself, with a server that knows rport, to get its answers through the
NAT. It does nothing for Contact, media, or a binding that ends; and nothing against a router that alters
messages. Source: RFC 3581; "Why SIP ALG is the Hidden VoIP Killer" calls it
the safe alternative.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from siplab.experiments.mitigations._actors import Actor
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Setup


@dataclass(frozen=True)
class Rport:
    """``rport`` in every Via."""

    actors: ClassVar = (Actor.PHONE,)

    def apply(self, setup: Setup) -> Setup:
        return replace(setup, phone={**setup.phone, "rport": True})


ITEM = Item("rport", "The phone uses rport (RFC 3581).", Rport())
