"""Outgoing calls work, but the phone's answers to incoming calls keep its private address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.direction import Except
from siplab.alg_models.steps.headers import (
    TranslateIdentity,
    TranslateRequestUri,
    TranslateUris,
    TranslateVia,
)
from siplab.alg_models.steps.media import TranslateSdp
from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Showing, Source, Step

_TRANSLATING: Final = (TranslateRequestUri, TranslateVia, TranslateUris, TranslateIdentity, TranslateSdp)


@dataclass(frozen=True)
class TranslateOneWay:
    """Leave some messages of the phone untranslated.

    ``leaves``: which ones: the phone's ``responses``, or everything that the phone sends (``outbound``).
    """

    leaves: Literal["responses", "outbound"] = "responses"

    def recipe(self) -> Recipe:
        replaced: dict[type, Step | None] = {
            type(step): Except(step, outbound_responses=True, outbound_requests=self.leaves == "outbound")
            for step in CORRECT_STEPS
            if isinstance(step, _TRANSLATING)
        }
        return Recipe(base=CORRECT_STEPS, replace=replaced)


MODEL = Model(
    id="one-direction-only",
    card=Card(
        fault_class="rewriting",
        summary="Translates the phone's requests, but not its responses to requests from outside.",
        examples=(
            Example("invite", b"c=IN IP4 192.168.1.20", b"c=IN IP4 203.0.113.7"),
            Example("incoming-ok", b"c=IN IP4 192.168.1.20", b"c=IN IP4 192.168.1.20"),
            Example(
                "incoming-ok",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@192.168.1.20:5060>",
            ),
        ),
        rules=("RFC 3261 12.1.1", "RFC 3264 6"),
        symptom=(
            "Outgoing calls work. Incoming ones ring and are answered, but with a server that does not "
            "compensate for NAT the caller's voice never arrives, and they drop after 32 s because the ACK "
            "goes to a private address."
        ),
        sources=(
            Source(
                "voip-info.org, Routers SIP ALG: of use for calls going out, not for those coming in",
                Evidence.USER_REPORT,
                "http://www.voip-info.org/wiki/view/Routers+SIP+ALG",
            ),
            Source(
                "Linux before the symmetric mapping: responses were not translated as requests were",
                Evidence.VENDOR_DOCUMENTATION,
                "https://github.com/ctrliq/kernel-src-tree/commit/1b683b551209ca46ae59b29572018001db5af078",
            ),
        ),
        shows=(Showing("incoming-call", "stays up", server="strict-addresses"),),
    ),
    fault=TranslateOneWay(),
    variants=({"leaves": "outbound"},),
)
