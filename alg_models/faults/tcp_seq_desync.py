"""The payload grows, but the TCP sequence numbers are not adjusted."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Source


@dataclass(frozen=True)
class ForgetSequenceNumbers:
    """Over TCP, translate messages that are whole in a segment, and leave SEQ and ACK as they were."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, policy={"tcp": "unadjusted"})


MODEL = Model(
    id="tcp-seq-desync",
    card=Card(
        fault_class="transport",
        summary="Translates correctly, but over TCP forgets to adjust the sequence numbers.",
        examples=(
            Example(
                "transport-tcp",
                b"Contact: <sip:alice@192.168.1.20;transport=tcp>",
                b"Contact: <sip:alice@203.0.113.7:61002;transport=tcp>",
            ),
        ),
        rules=("RFC 9293 3.4", "RFC 3022 4.4"),
        symptom=(
            "Over TCP the first message passes and then the connection stalls or is reset: the phone never "
            "registers, or loses its registration after the first answer. Over UDP it works."
        ),
        sources=(Source("Follows from a payload of another length on a stream", Evidence.INFERENCE),),
    ),
    fault=ForgetSequenceNumbers(),
)
