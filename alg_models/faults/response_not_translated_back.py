"""The ALG translates a request, but does not translate its response back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.direction import Except
from siplab.alg_models.steps.headers import TranslateIdentity, TranslateUris, TranslateVia
from siplab.alg_models.steps.media import TranslateSdp
from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Source, Step

_TRANSLATING: Final = (TranslateVia, TranslateUris, TranslateIdentity, TranslateSdp)


@dataclass(frozen=True)
class ForgetResponses:
    """Leave the addresses in responses from outside as they are; requests are translated both ways."""

    def recipe(self) -> Recipe:
        replaced: dict[type, Step | None] = {
            type(step): Except(step, inbound_responses=True)
            for step in CORRECT_STEPS
            if isinstance(step, _TRANSLATING)
        }
        return Recipe(base=CORRECT_STEPS, replace=replaced)


MODEL = Model(
    id="response-not-translated-back",
    card=Card(
        fault_class="rewriting",
        summary="Translates requests, but not the responses to them: the phone sees its public address.",
        examples=(
            Example(
                "register",
                b"Via: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK74",
                b"Via: SIP/2.0/UDP 203.0.113.7:61002;rport;branch=z9hG4bK74",
            ),
            Example(
                "register-ok",
                b"Via: SIP/2.0/UDP 203.0.113.7:61002;rport=61002;branch=z9hG4bK74",
                b"Via: SIP/2.0/UDP 203.0.113.7:61002;rport=61002;branch=z9hG4bK74",
            ),
            Example(
                "register-ok",
                b"Contact: <sip:alice@203.0.113.7:61002>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
        ),
        rules=("RFC 3261 8.2.6.2", "RFC 3261 18.1.2"),
        symptom=(
            "Registration fails although the server says OK: the phone discards answers whose Via it did not "
            "write, and sends the request again until it gives up."
        ),
        sources=(
            Source("Routers that undo only some of what they did, taken to all of it", Evidence.INFERENCE),
        ),
    ),
    fault=ForgetResponses(),
)
