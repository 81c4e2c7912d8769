"""If a header field has several values, only the first is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.blindness import divided
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.headers import split_list
from siplab.lab.wire.sip import Field, SipMessage

_LISTS: Final = frozenset({b"via", b"contact", b"record-route", b"route", b"path", b"service-route"})


@dataclass(frozen=True)
class FirstOfList:
    """Translate the first of the comma-separated values of a header field, and leave the others."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, first=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        fields: list[Field] = []
        for field in message.fields:
            if field.name not in _LISTS or b"," not in field.raw:
                fields.append(field)
                continue
            first_end = split_list(field.value)[0][1]
            fields += divided(field, [(first_end, len(field.raw) - field.value_offset)])
        message.fields = fields


MODEL = Model(
    id="comma-list-first-only",
    card=Card(
        fault_class="parsing",
        summary="Translates correctly, but only the first value of a header field that lists several.",
        examples=(
            Example(
                "transport-two-contacts",
                b"Contact: <sip:alice@192.168.1.20:5060>;q=0.9",
                b"Contact: <sip:alice@203.0.113.7:61002>;q=0.9",
            ),
            Example(
                "transport-two-contacts",
                b", <sip:a2@192.168.1.20:5062>;q=0.5",
                b", <sip:a2@192.168.1.20:5062>;q=0.5",
            ),
        ),
        rules=("RFC 3261 7.3.1",),
        symptom=(
            "A second line of the same phone, or the one that registered first, can't be called; "
            "answers that come through a proxy in the home don't find back."
        ),
        sources=(Source("Follows from parsers that take one value per header line", Evidence.INFERENCE),),
        shows=(
            Showing(
                "incoming-call", "rings", phone="quirky(quirk=second-contact)", server="strict-addresses"
            ),
        ),
    ),
    fault=FirstOfList(),
)
