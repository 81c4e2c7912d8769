"""The separator after a rewritten address is lost."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.wire.headers import vias
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class LoseSemicolon:
    """Drop the ';' that follows the sent-by of a Via which the ALG has rewritten."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if not context.outbound:
            return
        public = context.outside.ip.encode()
        for field in message.all(b"via"):
            value = field.value
            ends = [via.sent_by.end for via in vias(value) if via.sent_by.host == public]
            field.replace_all((at, at + 1, b"") for at in ends if value[at : at + 1] == b";")


MODEL = Model(
    id="semicolon-loss",
    card=Card(
        fault_class="rewriting",
        summary="Translates correctly, but loses the ';' between a rewritten Via address and its parameters.",
        examples=(
            Example(
                "register",
                b"Via: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK74",
                b"Via: SIP/2.0/UDP 203.0.113.7:61002rport;branch=z9hG4bK74",
            ),
        ),
        rules=("RFC 3261 25.1",),
        symptom="The server answers 400 Bad Request or nothing at all: registration and outgoing calls fail.",
        sources=(
            Source('"What is SIP ALG?": \'missed semi-colon ";" in header parameters\'', Evidence.SEED),
            Source(
                "The same observation, earlier",
                Evidence.USER_REPORT,
                "http://www.voip-info.org/wiki/view/Routers+SIP+ALG",
            ),
        ),
    ),
    fault=LoseSemicolon(),
)
