"""Requests of some methods pass with the addresses that the phone wrote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sip import SipMessage

_METHODS: Final = {
    "notify": (b"NOTIFY",),
    "events": (b"SUBSCRIBE", b"NOTIFY", b"PUBLISH"),
    "in-call": (b"REFER", b"INFO", b"UPDATE", b"PRACK"),
    "options": (b"OPTIONS",),
}


@dataclass(frozen=True)
class PassUntranslated:
    """Leave requests of these methods going out as they are, and translate their answers coming in.

    ``methods``: ``notify``; ``events``: SUBSCRIBE, NOTIFY and PUBLISH; ``in-call``: REFER, INFO, UPDATE and
    PRACK; ``options``.
    """

    methods: Literal["notify", "events", "in-call", "options"] = "events"

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, exemptions=(self,))

    def exempts(self, message: SipMessage, context: Context) -> bool:
        return context.outbound and message.is_request and message.method in _METHODS[self.methods]


MODEL = Model(
    id="method-untranslated",
    card=Card(
        fault_class="rewriting",
        summary="Translates correctly, but not SUBSCRIBE, NOTIFY and PUBLISH.",
        examples=(
            Example(
                "transport-subscribe",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@192.168.1.20:5060>",
            ),
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
        ),
        rules=(
            "RFC 3261 8.1.1.8",
            "RFC 6665 4.1.2.1",
        ),
        symptom=(
            "Calls work; busy lamps and the message lamp stay dark, since notifications are sent to a "
            "private address."
        ),
        sources=(
            Source(
                "H3C user forum: REGISTER leaves translated, a NOTIFY that follows keeps its private Via",
                Evidence.USER_REPORT,
                "https://zhiliao.h3c.com/questions/dispcont/305441",
            ),
            Source("That SUBSCRIBE and PUBLISH are passed in the same way", Evidence.INFERENCE),
        ),
        shows=(Showing("subscribe", "is subscribed", server="strict-addresses"),),
    ),
    fault=PassUntranslated(),
    variants=({"methods": "notify"},),
)
