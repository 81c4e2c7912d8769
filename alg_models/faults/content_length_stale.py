"""The body changes its size and Content-Length keeps the old one."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.samples.basic import SDP
from siplab.alg_models.steps.headers import FitContentLength
from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Source


@dataclass(frozen=True)
class ForgetContentLength:
    """Leave Content-Length as the sender wrote it, in both directions."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, replace={FitContentLength: None})


MODEL = Model(
    id="content-length-stale",
    card=Card(
        fault_class="rewriting",
        summary="Translates the body correctly, but leaves Content-Length at the size that the body had.",
        examples=(
            Example("invite", b"c=IN IP4 192.168.1.20", b"c=IN IP4 203.0.113.7"),
            Example("invite", b"Content-Length: %d" % len(SDP), b"Content-Length: %d" % len(SDP)),
        ),
        rules=("RFC 3261 18.3", "RFC 3261 20.14"),
        symptom=(
            "Calls out are refused with 400 or get no answer where the public address is the shorter text; "
            "where it is the longer one the end of the session description is cut off. Over TCP the message "
            "that follows is damaged as well."
        ),
        sources=(Source("Follows from RFC 3261 18.3: the header frames the body", Evidence.INFERENCE),),
    ),
    fault=ForgetContentLength(),
)
