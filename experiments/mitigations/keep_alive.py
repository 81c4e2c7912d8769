"""The phone refreshes the NAT's binding of its SIP port: RFC 4787 REQ-6, RFC 5626.

CRLF, OPTIONS or STUN to the server every ``interval`` seconds. OPTIONS and STUN also show when nobody
answers, STUN when the NAT's mapping has changed; the phone then registers anew. STUN at SIP's port is for
a provider that answers it (RFC 5626 section 4.4.2). Helps against short UDP bindings, that is, missed
incoming calls. It does not help where the router swallows the keep-alive or answers OPTIONS itself, and
not against altered messages.
Source: "Why SIP ALG is the Hidden VoIP Killer" names keep-alives among the alternatives; RFC 5626 section
4.4.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

from annotated_types import Gt

from siplab.experiments.mitigations._actors import Actor
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Setup


@dataclass(frozen=True)
class KeepAlive:
    """``method``: what is sent; ``interval``: seconds between two."""

    actors: ClassVar = (Actor.PHONE,)

    method: Literal["crlf-crlf", "crlf", "options", "stun"] = "crlf-crlf"
    interval: Annotated[float, Gt(0)] = 25.0

    def apply(self, setup: Setup) -> Setup:
        beat = {"keepalive": self.method, "keepalive_interval": self.interval}
        answers = {"stun": True} if self.method == "stun" else {}
        return replace(setup, phone={**setup.phone, **beat}, server={**setup.server, **answers})


ITEM = Item("keep-alive", "The phone keeps the NAT's binding alive.", KeepAlive())
