"""Media go by way of the provider's TURN relay: RFC 8656.

The phone asks for an address at the relay, announces that, and sends and receives media by one flow to the
relay. That works behind a symmetric NAT, in both directions, and needs nothing of the other side. Each packet
is four bytes longer to and from the relay, and the provider carries all sound. The phones behind the router
use it; with ``who=both`` those of the other side too, which may have a NAT of their own. Signalling is as it
was, so it does not help where messages are damaged or do not arrive.
An ALG that takes the relay's address for the phone's own breaks it, as it breaks STUN.
Source: RFC 8656; "What is SIP ALG?" names STUN, TURN and ICE as the ways that phones have through NAT.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from siplab.experiments.mitigations._actors import Actor
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Setup


@dataclass(frozen=True)
class Turn:
    """``who``: the phones behind the router, or those of both sides, have media relayed."""

    actors: ClassVar = (Actor.PHONE, Actor.PROVIDER)

    who: Literal["phone", "both"] = "phone"

    def apply(self, setup: Setup) -> Setup:
        return replace(setup, turn=self.who)


ITEM = Item("turn", "The phone's media go by way of a TURN relay (RFC 8656).", Turn())
