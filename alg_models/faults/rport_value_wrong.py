"""The rport in answers to the phone has a wrong port."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Final

from annotated_types import Ge, Le

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sip import SipMessage

_RPORT: Final = re.compile(rb"(;\s*rport\s*=\s*)(\d{1,5})", re.IGNORECASE)


@dataclass(frozen=True)
class WrongRport:
    """Add ``by`` to the value of ``rport`` in the topmost Via of responses coming in."""

    by: Annotated[int, Ge(-1000), Le(1000)] = 1

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        field = message.get(b"via")
        if context.outbound or not message.is_response or field is None:
            return
        found = _RPORT.search(field.value)
        if found is not None:
            port = (int(found[2]) + self.by) % 65536
            field.replace(*found.span(2), b"%d" % port)


MODEL = Model(
    id="rport-value-wrong",
    card=Card(
        fault_class="rewriting",
        summary="Translates correctly, but rport in answers is one too high.",
        examples=(Example("register-ok", b";rport=61002;", b";rport=5061;"),),
        rules=("RFC 3581 4",),
        symptom=(
            "Phones that learn from rport where they are take a wrong port for theirs, register anew "
            "with a wrong Contact, and are not called any more."
        ),
        sources=(
            Source(
                "pjproject issue 864: Forefront TMG, a response with 10.0.0.1;rport=56284 in its Via, "
                "after which the phone registers a wrong Contact",
                Evidence.CAPTURE,
                "https://github.com/pjsip/pjproject/issues/864",
            ),
        ),
        shows=(Showing("incoming-call", "rings", phone="linphone"),),
    ),
    fault=WrongRport(),
)
