"""Inbound messages reach the right host at the wrong port."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class DeliverToWrongPort:
    """Deliver messages from outside to the phone's address, but to the port with the public port's number.

    ``messages``: to which messages it happens. ``probability``: how often, from 0 to 1.
    """

    messages: Literal["all", "requests", "responses"] = "all"
    probability: Annotated[float, Ge(0), Le(1)] = 1.0

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if context.outbound or self.messages == ("requests" if message.is_response else "responses"):
            return
        if self.probability >= 1 or context.rng.random() < self.probability:
            context.deliver_elsewhere(Endpoint(context.inside.ip, context.outside.port))


MODEL = Model(
    id="wrong-inside-port",
    card=Card(
        fault_class="state",
        summary="Delivers what comes in to the phone's address, but to the public port's number there.",
        examples=(
            # The payload is translated correctly, but the packet goes to 192.168.1.20:61002.
            Example(
                "incoming-invite",
                b"INVITE sip:alice@203.0.113.7:61002",
                b"INVITE sip:alice@192.168.1.20:5060",
            ),
        ),
        rules=("RFC 4787 4.1", "RFC 3261 18.2.2"),
        symptom="The phone hears nothing of what the server sends: registration times out, no calls come in.",
        sources=(
            Source(
                "PJSIP: routers that forward an inbound UDP packet to a wrong port of the right host",
                Evidence.USER_REPORT,
                "https://trac.pjsip.org/repos/wiki/NAT_Routers_Issues?version=3",
            ),
            Source("That the wrong port is the public one", Evidence.INFERENCE),
        ),
    ),
    fault=DeliverToWrongPort(),
    variants=({"messages": "requests"}, {"messages": "responses"}),
)
