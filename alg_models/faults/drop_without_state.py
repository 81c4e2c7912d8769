"""Messages that belong to no call or registration known to the ALG are dropped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.wire.headers import tag_of
from siplab.lab.wire.sip import SipMessage

_DIALOGS: Final = 4096  # entries; messages make them, so there must be a bound
_BEGINS: Final = frozenset({b"REGISTER", b"INVITE", b"OPTIONS", b"CANCEL"})


@dataclass
class _Known:
    calls: dict[bytes, None] = field(default_factory=dict)


@dataclass(frozen=True)
class DropWithoutState:
    """Drop requests outside the last 4096 known Call-IDs, unless they begin a call or registration.

    REGISTER, INVITE, OPTIONS and CANCEL without a tag in To begin one.
    """

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, first=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        calls = context.remember(self, _Known).calls
        call = message.value(b"call-id")
        if call in calls or message.is_response:
            return
        if message.method not in _BEGINS or tag_of(message.value(b"to")):
            context.drop("no call or registration that it belongs to")
        if len(calls) >= _DIALOGS:
            del calls[next(iter(calls))]
        calls[call] = None


MODEL = Model(
    id="drop-without-state",
    card=Card(
        fault_class="policy",
        summary=(
            "Translates correctly, but drops requests of calls and registrations that it has not seen begin."
        ),
        examples=(
            Example("transport-subscribe", b"SUBSCRIBE sip:alice@lab.test SIP/2.0", None),
            Example("invite", b"INVITE sip:bob@lab.test", b"INVITE sip:bob@lab.test"),
        ),
        rules=(
            "RFC 3261 16.3",
            "RFC 6665 4.4.1",
        ),
        symptom=(
            "Busy lamps and messages never work, and after a restart of the router calls that are up can "
            "not be ended."
        ),
        sources=(
            Source(
                "Clavister cOS Stream log reference: messages are dropped when no call leg, transaction "
                "or session can be made for them",
                Evidence.VENDOR_DOCUMENTATION,
                "https://docs.clavister.com/repo/cos-stream-log-reference-guide/4.00/doc/ch02s41.html",
            ),
            Source("Which methods begin something", Evidence.INFERENCE),
        ),
    ),
    fault=DropWithoutState(),
)
