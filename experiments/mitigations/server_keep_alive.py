"""The provider keeps the bindings of all registered phones alive.

OPTIONS, NOTIFY or four zero bytes to where each phone registered from. The first two are answered, and
any packet from the inside refreshes a binding (RFC 4787 REQ-6); zero bytes help only where a NAT counts
what comes in. Helps against missed calls where nothing can be set at the phone. It does not help against
altered messages, nor where the ALG answers for the phone or drops what it does not know: some drop NOTIFY
without a subscription.
Source: Kamailio's and OpenSIPS' nathelper (``natping_method``, ``ping_nated_only``); NOTIFY with ``Event:
keep-alive`` as Linksys and Cisco phones know it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

from annotated_types import Gt

from siplab.experiments.mitigations._actors import Actor
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Setup


@dataclass(frozen=True)
class ServerKeepAlive:
    """``method``: what is sent; ``interval``: seconds between two."""

    actors: ClassVar = (Actor.PROVIDER,)

    method: Literal["options", "notify", "zero-bytes"] = "options"
    interval: Annotated[float, Gt(0)] = 25.0

    def apply(self, setup: Setup) -> Setup:
        beat = {"ping": "all", "ping_kind": self.method, "ping_interval": self.interval}
        return replace(setup, server={**setup.server, **beat})


ITEM = Item("server-keep-alive", "The provider keeps every phone's binding alive.", ServerKeepAlive())
