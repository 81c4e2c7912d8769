"""The ALG finds the phone's address also at the beginning of a longer address."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.headers import LOCATION_HEADERS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sip import SipMessage

_HEADERS = frozenset({b"via", b"from", b"to", *(name.encode() for name in LOCATION_HEADERS)})


@lru_cache(maxsize=256)
def _prefix(address: str) -> re.Pattern[bytes]:
    """A pattern for the address as the beginning of a longer one: a digit follows, and none is before it."""
    return re.compile(rb"(?<![\d.])" + re.escape(address.encode()) + rb"(?=\d)")


@dataclass(frozen=True)
class MatchPrefix:
    """Replace the sender's address even where it is only the beginning of a longer address.

    The damaged address is no address of this network any more, so nothing else is translated with it: in a
    session description the media port stays. ``ways``: ``both`` does this in both directions, so that
    an answer has the phone's own text again; ``out`` only in messages going out.
    """

    ways: Literal["both", "out"] = "both"

    def recipe(self) -> Recipe:
        # First, so that the correct steps find no address of this network in the damaged text.
        return Recipe(base=CORRECT_STEPS, first=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        old, new = context.inside.ip, context.outside.ip
        if not context.outbound:
            if self.ways == "out":
                return
            old, new = new, old
        if old == new:
            return
        pattern, text = _prefix(old), new.encode()
        uri = message.request_uri
        if pattern.search(uri):
            message.request_uri = pattern.sub(text, uri)
        for field in message.fields:
            if field.name in _HEADERS and pattern.search(field.raw):
                field.value = pattern.sub(text, field.value)
        if pattern.search(message.body):
            message.body = pattern.sub(text, message.body)


MODEL = Model(
    id="substring-ip-match",
    card=Card(
        fault_class="parsing",
        summary=(
            "Translates correctly, but takes a longer address that begins with the sender's for the "
            "sender's and exchanges its beginning."
        ),
        examples=(
            Example(
                "headers-pbx-register",
                b"Contact: <sip:bob@192.168.1.20:5060>",
                b"Contact: <sip:bob@203.0.113.70:5060>",
            ),
            Example("headers-pbx-invite", b"c=IN IP4 192.168.1.20", b"c=IN IP4 203.0.113.70"),
        ),
        rules=("RFC 3261 8.1.1.8", "RFC 3261 10.2.1", "RFC 8866 5.7"),
        symptom=(
            "Whoever has a short address (a PBX at 192.168.1.2) names others of the home by an address of "
            "strangers: incoming calls and audio go there. Phones with longer addresses notice nothing."
        ),
        sources=(
            Source(
                "Follows from text search and replace of the private address, which is reported, "
                "without a look at where the address ends",
                Evidence.INFERENCE,
            ),
        ),
        shows=(Showing("incoming-call", "rings", topology="lan-proxy", server="strict-addresses"),),
    ),
    fault=MatchPrefix(),
    variants=({"ways": "out"},),
)
