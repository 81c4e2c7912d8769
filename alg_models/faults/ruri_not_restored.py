"""The public address stays in the Request-URI of requests coming in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.headers import TranslateRequestUri
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sip import SipMessage

_TRANSLATE: Final = TranslateRequestUri()


@dataclass(frozen=True)
class KeepRequestUri:
    """Leave the Request-URI of requests coming in alone."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, replace={TranslateRequestUri: self})

    def apply(self, message: SipMessage, context: Context) -> None:
        if context.outbound:
            _TRANSLATE.apply(message, context)


MODEL = Model(
    id="ruri-not-restored",
    card=Card(
        fault_class="rewriting",
        summary="Translates correctly, but calls the phone by its public address when a request comes in.",
        examples=(
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
            Example(
                "incoming-invite",
                b"INVITE sip:alice@203.0.113.7:61002 SIP/2.0",
                b"INVITE sip:alice@203.0.113.7:61002 SIP/2.0",
            ),
        ),
        rules=("RFC 3261 8.2.2.1",),
        symptom=(
            "Phones that check whom a call is for answer 404 or nothing: callers hear that nobody is there. "
            "Lenient phones ring."
        ),
        sources=(
            Source(
                "Broadcom BCM963xx kernel, net/netfilter/nf_conntrack_sip.c: "
                "the Request-URI is never touched",
                Evidence.SOURCE_CODE,
            ),
        ),
        shows=(Showing("incoming-call", "rings", phone="strict"),),
    ),
    fault=KeepRequestUri(),
)
