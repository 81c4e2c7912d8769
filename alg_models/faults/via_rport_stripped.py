"""rport, the request for an answer to the source port, is removed from Via."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.steps.parameters import whole_parameters
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.wire.headers import sent_bys
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class StripRport:
    """Remove ``rport`` from the topmost Via of requests going out, and do nothing else."""

    def recipe(self) -> Recipe:
        # No other step: with a translated sent-by the answer would arrive even without rport.
        return Recipe(last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if not context.outbound or message.is_response:
            return
        field = message.get(b"via")
        if field is None:
            return
        for place, end in sent_bys(field.value)[:1]:
            for start, stop in reversed(whole_parameters(field.value, b"rport", place.end, end)):
                field.replace(start, stop, b"")


MODEL = Model(
    id="via-rport-stripped",
    card=Card(
        fault_class="rewriting",
        summary="Translates nothing in messages, but removes rport from the Via of requests going out.",
        examples=(
            Example(
                "register",
                b"Via: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK74",
                b"Via: SIP/2.0/UDP 192.168.1.20:5060;branch=z9hG4bK74",
            ),
        ),
        rules=("RFC 3261 16.6", "RFC 3581 3", "RFC 3581 4"),
        symptom=(
            "The server answers to the port that the phone wrote, not to the one that the router gave it: "
            "no answer arrives, registration fails."
        ),
        sources=(
            Source(
                "Follows from RFC 3581: without rport the answer goes to the port in Via", Evidence.INFERENCE
            ),
        ),
    ),
    fault=StripRport(),
)
