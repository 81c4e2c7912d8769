"""Lines of the session description lose their beginning."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.wire.sip import SipMessage

_LINES: Final = {
    each: re.compile(rb"(?<=\n)%b=[^\r\n]*" % each.encode()) for each in ("a", "b", "c", "m", "o", "t")
}


@dataclass(frozen=True)
class EatLines:
    """In descriptions coming in, lines of type ``line`` become ``:=`` and two digits; Content-Length fits."""

    line: Literal["a", "b", "c", "m", "o", "t"] = "t"

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if context.outbound or not message.body.startswith(b"v="):
            return
        message.body = _LINES[self.line].sub(b":=17", message.body)
        message.fit_content_length()


MODEL = Model(
    id="sdp-lines-eaten",
    card=Card(
        fault_class="rewriting",
        summary="Translates correctly, but lines of descriptions coming in lose their first bytes.",
        examples=(Example("invite-ok", b"t=0 0\r\nm=audio", b":=17\r\nm=audio"),),
        rules=(
            "RFC 8866 5",
            "RFC 8866 5.9",
        ),
        symptom=(
            "The phone can not read the description: it refuses calls, and ends those that it made, as "
            "soon as they are answered."
        ),
        sources=(
            Source(
                "pjproject issue 4911: b=AS:117 arrives as :=17; what did it was not established",
                Evidence.USER_REPORT,
                "https://github.com/pjsip/pjproject/issues/4911",
            ),
            Source("That other lines are eaten in the same way", Evidence.INFERENCE),
        ),
    ),
    fault=EatLines(),
    variants=({"line": "c"},),
)
