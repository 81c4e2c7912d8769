"""The ALG ends a header field at the line end, even if the next line continues it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.blindness import IDENTIFYING, divided, hide
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sip import Field, SipMessage

_FOLD: Final = {"every": re.compile(rb"\n[ \t]"), "tab": re.compile(rb"\n *\t")}


@dataclass(frozen=True)
class IgnoreFolding:
    """Read a folded header field only up to the fold; continuation lines stay as they are.

    ``misses``: ``every`` fold, or those that begin with a ``tab``.
    """

    misses: Literal["every", "tab"] = "every"

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, first=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if not any(b"\n" in field.raw[:-1] for field in message.fields):
            return
        fields: list[Field] = []
        for field in message.fields:
            fields += self._up_to_the_fold(field)
        message.fields = fields

    def _up_to_the_fold(self, field: Field) -> list[Field]:
        found = _FOLD[self.misses].search(field.raw)
        if found is None or field.name in IDENTIFYING:
            return [field]
        at = found.start() + 1 - field.value_offset
        if at <= 0:  # nothing but the name stands before the fold
            hide(field)
            return [field]
        return divided(field, [(at, len(field.raw) - field.value_offset)])


MODEL = Model(
    id="header-folding-ignored",
    card=Card(
        fault_class="parsing",
        summary="Translates correctly, but reads no further than the first line of a folded header field.",
        examples=(
            Example(
                "transport-folded",
                b"Contact:\r\n <sip:alice@192.168.1.20:5060>",
                b"Contact:\r\n <sip:alice@192.168.1.20:5060>",
            ),
            Example(
                "transport-folded",
                b"Via: SIP/2.0/UDP 192.168.1.20:5060;rport",
                b"Via: SIP/2.0/UDP 203.0.113.7:61002;rport",
            ),
        ),
        rules=("RFC 3261 7.3.1",),
        symptom=(
            "A phone or gateway that folds long headers registers with a private address: it can call, but "
            "calls to it never arrive."
        ),
        sources=(
            Source("Follows from a parser that works line by line", Evidence.INFERENCE),
            Source(
                "Linux 2.6.38 to 3.x net/netfilter/nf_conntrack_sip.c: "
                "a continuation line may begin with spaces, not with a tab",
                Evidence.SOURCE_CODE,
            ),
        ),
        shows=(Showing("incoming-call", "rings", phone="quirky(quirk=folded)", server="strict-addresses"),),
    ),
    fault=IgnoreFolding(),
    variants=({"misses": "tab"},),
)
