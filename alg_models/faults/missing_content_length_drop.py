"""Messages with a session description but without Content-Length are dropped."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.descriptions import described
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class DropWithoutLength:
    """Drop messages that carry a session description and no Content-Length, in both directions."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if message.get(b"content-length") is None and described(message) is not None:
            context.drop("a session description without Content-Length")


MODEL = Model(
    id="missing-content-length-drop",
    card=Card(
        fault_class="parsing",
        summary="Silently drops a message with a session description that has no Content-Length.",
        examples=(Example("media-no-length", b"INVITE sip:bob@lab.test SIP/2.0", None),),
        rules=("RFC 3261 18.3", "RFC 3261 20.14"),
        symptom=(
            "A phone that leaves Content-Length out, as it may over UDP, registers but can't call: nothing "
            "answers its INVITE."
        ),
        sources=(
            Source(
                "Linux 4.18 net/netfilter/nf_nat_sip.c: without the header the packet can't be mangled and "
                "is dropped",
                Evidence.SOURCE_CODE,
            ),
            Source("That a phone may leave it out", Evidence.INFERENCE),
        ),
        shows=(Showing("outgoing-call", "rings", phone="quirky(quirk=no-length)"),),
    ),
    fault=DropWithoutLength(),
)
