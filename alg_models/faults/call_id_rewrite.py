"""The address in Call-ID is changed on the way out and never changed back."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class RewriteCallId:
    """Replace the inside address in Call-ID by the public one, going out only."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if not context.outbound:
            return
        old, new = context.inside.ip.encode(), context.outside.ip.encode()
        for field in message.all(b"call-id"):
            if old in field.value:
                field.value = field.value.replace(old, new)


MODEL = Model(
    id="call-id-rewrite",
    card=Card(
        fault_class="rewriting",
        summary="Translates correctly, but also rewrites the address inside Call-ID, and does not undo it.",
        examples=(Example("register", b"Call-ID: a84b4c76@192.168.1.20", b"Call-ID: a84b4c76@203.0.113.7"),),
        rules=("RFC 3261 8.2.6.2", "RFC 3261 12.2.2"),
        symptom=(
            "Answers carry a Call-ID that the phone never sent; it ignores them. "
            "Registration fails, or calls end after 32 s."
        ),
        sources=(
            Source(
                "\"What is SIP ALG?\": 'replacing the private address if it appears in Call-ID'",
                Evidence.SEED,
            ),
            Source(
                "Junos command reference, disable-call-id-hiding: "
                "Call-ID is translated by default, both ways",
                Evidence.VENDOR_DOCUMENTATION,
            ),
            Source("That the way back is forgotten", Evidence.INFERENCE),
        ),
    ),
    fault=RewriteCallId(),
)
