"""Whole header fields are removed from messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.wire.sip import SipMessage

_NAMES: Final = {
    "challenge": (b"www-authenticate", b"proxy-authenticate"),
    "record-route": (b"record-route",),
    "session-expires": (b"session-expires", b"min-se"),
    "allow": (b"allow", b"supported"),
}


@dataclass(frozen=True)
class RemoveHeaders:
    """Remove these header fields from messages coming in.

    ``headers``: the ``challenge`` of a 401 or 407, ``record-route``, ``session-expires`` with Min-SE,
    ``allow`` with Supported, or ``via``, all but the topmost.
    """

    headers: Literal["challenge", "record-route", "session-expires", "allow", "via"] = "challenge"

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if context.outbound:
            return
        if self.headers == "via":
            first = message.get(b"via")
            message.fields = [each for each in message.fields if each.name != b"via" or each is first]
            return
        message.fields = [each for each in message.fields if each.name not in _NAMES[self.headers]]


MODEL = Model(
    id="headers-removed",
    card=Card(
        fault_class="policy",
        summary="Translates correctly, but takes the challenge out of 401 and 407 on their way in.",
        examples=(
            Example(
                "headers-challenge",
                b'WWW-Authenticate: Digest realm="lab.test", nonce="84a4cc6f"\r\nContent-Length',
                b"CSeq: 1 REGISTER\r\nContent-Length",
            ),
        ),
        rules=(
            "RFC 3261 20.44",
            "RFC 3261 22.1",
            "RFC 3261 16.7",
        ),
        symptom=(
            "The phone is asked for credentials without being told how, and gives up. Without "
            "Record-Route, requests in a call pass a proxy by; without Session-Expires, one side ends "
            "the call."
        ),
        sources=(
            Source(
                "freeswitch issue 1779: a 401 arrives without its WWW-Authenticate",
                Evidence.USER_REPORT,
                "https://github.com/signalwire/freeswitch/issues/1779",
            ),
            Source("That other header fields are lost in the same way", Evidence.INFERENCE),
        ),
    ),
    fault=RemoveHeaders(),
    variants=(
        {"headers": "record-route"},
        {"headers": "via"},
    ),
)
