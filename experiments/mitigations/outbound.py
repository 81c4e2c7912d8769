"""The provider reaches the phone by the flow that it registered over: RFC 5626 ("outbound").

The phone says who it is beside where it is (``+sip.instance``, ``reg-id``), keeps its flow alive with
STUN at the server's SIP port (over TCP or TLS with CRLF), and registers anew as soon as STUN goes
unanswered or shows another mapping. The server sends what is for the phone along the flow, whatever
address stands in Contact.

Helps where a Contact is private, a binding ends, or a router was restarted. It does nothing for media,
and nothing against altered messages; a router that eats STUN at port 5060 has the phone register again
and again. One flow is played, to one server: the standard's two are for the failure of a server.
Source: RFC 5626 sections 4.2, 4.4.2, 5.3, 5.4.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from annotated_types import Gt

from siplab.experiments.mitigations._actors import Actor
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Setup


@dataclass(frozen=True)
class Outbound:
    """``interval``: seconds between keep-alives; the RFC has 24 to 29."""

    actors: ClassVar = (Actor.PHONE, Actor.PROVIDER)

    interval: Annotated[float, Gt(0)] = 25.0

    def apply(self, setup: Setup) -> Setup:
        phone = {
            "contact_form": "outbound",
            "keepalive": "stun",
            "keepalive_interval": self.interval,
            "rport": True,
        }
        served = {"store": "source", "alias": "always", "rport": "always", "stun": True}
        return replace(setup, phone={**setup.phone, **phone}, server={**setup.server, **served})


ITEM = Item("outbound", "The provider calls by the flow that the phone keeps (RFC 5626).", Outbound())
