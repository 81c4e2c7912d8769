"""The ALG does not expect all white space that the grammar allows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.blindness import IDENTIFYING, divided, hide
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.headers import split_list
from siplab.lab.wire.sip import Field, SipMessage

_ONE_SPACE: Final = re.compile(rb"\s*SIP\s*/\s*2\.0\s*/\s*[A-Za-z0-9-]+ (?=\S)", re.IGNORECASE)
_PLAIN_VIA: Final = re.compile(rb"\s*SIP/2\.0/[A-Za-z0-9-]+ (?=\S)", re.IGNORECASE)
_PLAIN_FIELD: Final = re.compile(rb"[^\s:]+: (?=\S)")


@dataclass(frozen=True)
class ExpectExactSpacing:
    """Skip header fields with unusual spacing; in a list of Via values, all from the first such value on.

    ``where``: ``via`` wants one space between transport and address in Via. ``every`` also wants
    ``SIP/2.0/UDP`` without spaces, and in each header field no space before the colon and one after it.
    """

    where: Literal["via", "every"] = "via"

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, first=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        fields: list[Field] = []
        for field in message.fields:
            if field.name == b"via":
                fields += self._via(field)
                continue
            if self.where == "every" and field.name not in IDENTIFYING and not _PLAIN_FIELD.match(field.raw):
                hide(field)
            fields.append(field)
        message.fields = fields

    def _via(self, field: Field) -> list[Field]:
        pattern = _ONE_SPACE
        if self.where == "every":
            pattern = _PLAIN_VIA
            if not _PLAIN_FIELD.match(field.raw):
                hide(field)
                return [field]
        value = field.value
        for start, end in split_list(value):
            if pattern.match(value, start, end):
                continue
            if not start:
                hide(field)
                return [field]
            return divided(field, [(start, len(field.raw) - field.value_offset)])
        return [field]


MODEL = Model(
    id="exact-spacing",
    card=Card(
        fault_class="parsing",
        summary="Translates correctly, but misses a Via with other white space than the usual single space.",
        examples=(
            Example(
                "transport-two-spaces",
                b"Via: SIP/2.0/UDP  192.168.1.20:5060;rport",
                b"Via: SIP/2.0/UDP  192.168.1.20:5060;rport",
            ),
            Example(
                "transport-two-spaces",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
        ),
        rules=("RFC 3261 25.1", "RFC 3261 7.3.1"),
        symptom=(
            "One make of phone works only with servers that answer to where the request came from; "
            "with others its answers are lost and it does not register."
        ),
        sources=(
            Source(
                "Linux net/netfilter/nf_conntrack_sip.c: exactly one space between 'UDP' and the address",
                Evidence.SOURCE_CODE,
            ),
            Source("That other spaces are missed as well (where=every)", Evidence.INFERENCE),
        ),
        shows=(
            Showing("register", "registered", phone="quirky(quirk=two-spaces)", server="strict-addresses"),
        ),
    ),
    fault=ExpectExactSpacing(),
    variants=({"where": "every"},),
)
