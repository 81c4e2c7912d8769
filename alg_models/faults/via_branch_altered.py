"""The branch of the phone's Via is changed on the way out and never changed back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.parameters import whole_parameters
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.wire.headers import sent_bys
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class AlterBranch:
    """Change the branch of the topmost Via of requests going out; answers keep the changed one.

    ``mode``: ``suffix`` appends ``-`` and the first number of the public address; ``removed`` removes
    the parameter.
    """

    mode: Literal["suffix", "removed"] = "suffix"

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if not context.outbound or message.is_response:
            return
        field = message.get(b"via")
        if field is None:
            return
        for place, end in sent_bys(field.value)[:1]:
            for start, stop in reversed(whole_parameters(field.value, b"branch", place.end, end)):
                if self.mode == "removed":
                    field.replace(start, stop, b"")
                else:
                    # The same for every message, so that ACK and CANCEL still match their INVITE.
                    field.replace(stop, stop, b"-" + context.outside.ip.partition(".")[0].encode())


MODEL = Model(
    id="via-branch-altered",
    card=Card(
        fault_class="rewriting",
        summary="Translates correctly, but changes the branch of the phone's Via and does not restore it.",
        examples=(
            Example(
                "register",
                b"Via: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK74",
                b"Via: SIP/2.0/UDP 203.0.113.7:61002;rport;branch=z9hG4bK74-203",
            ),
        ),
        rules=("RFC 3261 8.1.1.7", "RFC 3261 17.1.3"),
        symptom=(
            "No answer matches a request that the phone has sent, so it ignores them all: "
            "registration and outgoing calls time out."
        ),
        sources=(
            Source(
                "README of the detector ibc/sip-alg-detector: an ALG that writes a branch of its own "
                "(there in a Via that it adds)",
                Evidence.CAPTURE,
            ),
            Source("That the phone's own branch is changed and the change not undone", Evidence.INFERENCE),
        ),
    ),
    fault=AlterBranch(),
    variants=({"mode": "removed"},),
)
