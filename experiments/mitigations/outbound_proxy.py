"""The phone sends everything to the provider's outbound proxy, at a port that no ALG looks at.

NAT traversal is then the proxy's affair, and the ALG sees nothing of it unless it looks at that port
too. Media do not pass the proxy. On a network that has a host for it (``proxied``) the proxy stands there,
else on the server's host. Source: "Why SIP ALG is the Hidden VoIP Killer"
names it among the alternatives.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from siplab.experiments.mitigations._actors import Actor
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Setup


@dataclass(frozen=True)
class OutboundProxy:
    """``port``: where the proxy listens."""

    actors: ClassVar = (Actor.PHONE, Actor.PROVIDER)

    port: Annotated[int, Ge(1), Le(65535)] = 5090

    def apply(self, setup: Setup) -> Setup:
        return replace(setup, edge_port=self.port)


ITEM = Item("outbound-proxy", "The phone uses an outbound proxy on another port.", OutboundProxy())
