"""The uri of the credentials differs from the Request-URI."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.wire.sip import SipMessage

_URI: Final = re.compile(rb'uri="(sips?:[^":;]+)[^"]*"')


@dataclass(frozen=True)
class CutDigestUri:
    """In ``uri`` of Authorization and Proxy-Authorization, replace what follows the host by port 5060."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if not context.outbound or message.is_response:
            return
        for each in message.fields:
            if each.name in (b"authorization", b"proxy-authorization"):
                each.value = _URI.sub(rb'uri="\1:5060"', each.value)


MODEL = Model(
    id="digest-uri-cut",
    card=Card(
        fault_class="rewriting",
        summary="Translates correctly, but rewrites the uri in credentials.",
        examples=(
            Example(
                "headers-signed-register",
                b'uri="sip:198.51.100.10", response',
                b'uri="sip:198.51.100.10:5060", response',
            ),
        ),
        rules=(
            "RFC 7616 3.4.6",
            "RFC 3261 22.4",
        ),
        symptom=(
            "Servers that compare the uri of the credentials with the Request-URI, or compute the "
            "response with it, refuse every request that needs credentials."
        ),
        sources=(
            Source(
                "livekit/sip issue 817: the uri of the credentials lacks what the Request-URI has",
                Evidence.USER_REPORT,
                "https://github.com/livekit/sip/issues/817",
            ),
            Source("That an ALG which rewrites addresses anywhere writes it there", Evidence.INFERENCE),
        ),
    ),
    fault=CutDigestUri(),
)
