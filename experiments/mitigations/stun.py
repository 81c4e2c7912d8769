"""The phone asks a STUN server for its public addresses and announces them: RFC 8489 (RFC 5389, RFC 3489).

Helps with servers that believe what they are told, behind a NAT whose mapping is endpoint-independent. It
does not help behind a symmetric NAT, where the mapping towards everybody else is another one, and does
not go together with an ALG, which "translates back" in answers what was public from the start. Source:
"Why SIP ALG is the Hidden VoIP Killer" names it among the alternatives,
"What is SIP ALG?" says that symmetric NAT makes it useless;
Keenetic's and ZyXEL's documentation says not to combine it with an ALG.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from siplab.experiments.mitigations._actors import Actor
from siplab.experiments.phones.stun import Stun as StunPhone
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Setup


@dataclass(frozen=True)
class Stun:
    """The phone becomes of the kind ``stun``."""

    actors: ClassVar = (Actor.PHONE, Actor.PROVIDER)

    def apply(self, setup: Setup) -> Setup:
        return StunPhone().apply(setup)


ITEM = Item("stun", "The phone announces what a STUN server tells it.", Stun())
