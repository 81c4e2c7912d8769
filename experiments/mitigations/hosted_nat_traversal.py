"""The provider solves NAT at its own end: RFC 7362, "hosted NAT traversal".

Answers to the source, a media relay that latches, and OPTIONS as keep-alive. Helps every phone that sends
media from where it receives them, behind any NAT. An ALG gets in its way: what it rewrites looks
like a phone without NAT, which is not kept alive; ``ping=all`` keeps alive whoever registers. Against damaged
messages it does nothing.
Source: RFC 7362; Kamailio's and OpenSIPS' nathelper; the "server-side NAT solutions" of the article
"What is SIP ALG?".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from siplab.experiments.mitigations._actors import Actor
from siplab.experiments.servers.hosted import Hosted
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Setup


@dataclass(frozen=True)
class FarEnd:
    """The server becomes of the kind ``hosted``. ``ping``: which phones it keeps alive."""

    actors: ClassVar = (Actor.PROVIDER,)

    ping: Literal["natted", "all", ""] = "natted"

    def apply(self, setup: Setup) -> Setup:
        changed = Hosted(self.ping).apply(setup)
        return replace(changed, server={**changed.server, "ping_kind": "options"})


ITEM = Item("hosted-nat-traversal", "The provider relays media and keeps phones behind NAT alive.", FarEnd())
