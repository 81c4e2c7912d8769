"""The ALG finds a header wherever its name and a colon stand."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.addresses import translate
from siplab.alg_models.steps.blindness import hide
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.headers import HostPort, sent_bys, uris
from siplab.lab.wire.sip import Field, SipMessage

_NAME: Final = re.compile(rb"(Via|Contact):")
_MOST: Final = 64  # matches in one message, so that a body full of names does not take seconds


@dataclass(frozen=True)
class MatchSubstrings:
    """Translate the address behind ``Via:`` and ``Contact:`` wherever these letters stand.

    They may stand in other headers' names (``X-Via:``), in quoted strings, and in bodies.
    ``stop``: the search for Contact ends at the first match. If that is not the header, the header stays as
    it is.
    """

    stop: bool = False

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, first=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        fields: list[Field] = []
        mistaken = False  # whether a match was found that is not the Contact header
        for field in message.fields:
            if field.name == b"contact":
                if self.stop and mistaken:
                    hide(field)
            elif field.name != b"via" and (b"Via:" in field.raw or b"Contact:" in field.raw):
                mistaken |= b"Contact:" in field.raw
                field = Field(self._replace(field.raw, context))
            fields.append(field)
        message.fields = fields
        if b"Via:" in message.body or b"Contact:" in message.body:
            message.body = self._replace(message.body, context)

    def _replace(self, text: bytes, context: Context) -> bytes:
        made, begin = b"", 0
        for name in list(_NAME.finditer(text))[:_MOST]:
            if name.start() < begin:
                continue
            end = text.find(b"\r\n", name.end())
            rest = text[name.end() : end if end >= 0 else len(text)]
            place = _first(name[1], rest)
            new = translate(place, context, "via" if name[1] == b"Via" else "uri") if place else None
            if place is not None and new is not None:
                made += text[begin : name.end() + place.start] + new
                begin = name.end() + place.end
        return made + text[begin:]


def _first(name: bytes, rest: bytes) -> HostPort | None:
    if name == b"Via":
        return next((place for place, _ in sent_bys(rest)), None)
    return next(iter(uris(rest)), None)


MODEL = Model(
    id="substring-header-match",
    card=Card(
        fault_class="parsing",
        summary="Translates correctly, but takes 'Via:' and 'Contact:' for headers wherever they stand.",
        examples=(
            Example(
                "transport-extra-header",
                b"X-Via: SIP/2.0/UDP 192.168.1.20:5060",
                b"X-Via: SIP/2.0/UDP 203.0.113.7:61002",
            ),
            Example(
                "transport-quoted",
                b'From: "Contact: <sip:a@192.168.1.20:5060>"',
                b'From: "Contact: <sip:a@203.0.113.7:61002>"',
            ),
        ),
        rules=("RFC 3261 7.3.1", "RFC 3261 25.1"),
        symptom=(
            "Text that is nobody's address changes on the way: private headers, caller names, message texts. "
            "Signatures over them fail, and with a search that stops at the first place calls don't arrive."
        ),
        sources=(
            Source(
                "Broadcom BCM963xx kernel, net/netfilter/nf_conntrack_sip.c: plain substring search "
                "for 'Via:' and 'Contact:', the first Contact only",
                Evidence.SOURCE_CODE,
            ),
        ),
        shows=(
            Showing("message(text=log)", "far phone gets the message"),
            Showing(
                "incoming-call",
                "rings",
                phone="quirky(quirk=quoted-contact)",
                server="strict-addresses",
                variant={"stop": True},
            ),
        ),
    ),
    fault=MatchSubstrings(),
    variants=({"stop": True},),
)
