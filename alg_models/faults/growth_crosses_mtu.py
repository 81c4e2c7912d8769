"""A message that grows beyond the MTU is lost."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Showing, Source


@dataclass(frozen=True)
class LoseWhatGrew:
    """Drop a packet, instead of fragmenting it, if the translation makes it larger than the MTU."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, policy={"growth": "drop"})


MODEL = Model(
    id="growth-crosses-mtu",
    card=Card(
        fault_class="transport",
        summary="Translates correctly, but loses the packets that become larger than the MTU by it.",
        examples=(
            Example("transport-nearly-mtu", b"INVITE sip:bob@lab.test SIP/2.0", None),
            Example("invite", b"m=audio 49170 RTP/AVP 0", b"m=audio 61004 RTP/AVP 0"),
        ),
        rules=("RFC 3261 18.1.1", "RFC 4787 10"),
        symptom=(
            "Messages of just under 1500 bytes vanish without an error, shorter and longer ones pass: "
            "one kind of call fails from one phone, and a codec more or less makes it work."
        ),
        sources=(
            Source("Follows from a longer address and the bit that forbids fragments", Evidence.INFERENCE),
        ),
        shows=(Showing("large-invite(padding=565)", "rings", topology="alg-behind-alg"),),
    ),
    fault=LoseWhatGrew(),
)
