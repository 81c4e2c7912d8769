"""The ALG does not know the one-letter names of header fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.blindness import IDENTIFYING, hide, written_name
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class IgnoreCompactForms:
    """Skip header fields in compact form, Content-Length too. (Call-ID is understood in either form.)

    ``known``: ``none`` of the compact forms, or the ``lower-case`` ones, so that only ``V:`` and ``M:`` are
    skipped.
    """

    known: Literal["none", "lower-case"] = "none"

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, first=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        for field in message.fields:
            name = written_name(field)
            if len(name) != 1 or field.name in IDENTIFYING:
                continue
            if self.known == "none" or not name.islower():
                hide(field)


MODEL = Model(
    id="compact-form-ignored",
    card=Card(
        fault_class="parsing",
        summary="Translates correctly, but does not know header fields by their one-letter names.",
        examples=(
            Example(
                "transport-compact",
                b"m: <sip:alice@192.168.1.20:5060>",
                b"m: <sip:alice@192.168.1.20:5060>",
            ),
            Example(
                "transport-compact", b"v: SIP/2.0/UDP 192.168.1.20:5060", b"v: SIP/2.0/UDP 192.168.1.20:5060"
            ),
            Example("transport-compact", b"c=IN IP4 192.168.1.20", b"c=IN IP4 203.0.113.7"),
            Example("transport-compact", b"l: 110", b"l: 110"),
        ),
        rules=("RFC 3261 7.3.3", "RFC 3261 7.3.1"),
        symptom=(
            "Phones that write short headers register with a private address, so calls to them go nowhere; "
            "phones that write long ones work through the same router. With a body its length is wrong too."
        ),
        sources=(
            Source("Follows from a search for the long names alone", Evidence.INFERENCE),
            Source(
                "Broadcom BCM963xx kernel, net/netfilter/nf_conntrack_sip.c: searches for v:, m: and l: "
                "in lower case only",
                Evidence.SOURCE_CODE,
            ),
        ),
        shows=(Showing("incoming-call", "answered", phone="compact"),),
    ),
    fault=IgnoreCompactForms(),
    variants=({"known": "lower-case"},),
)
