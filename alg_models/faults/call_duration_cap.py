"""The router forgets a call after a fixed time, and then drops everything of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from annotated_types import Gt

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.media import dialog_owner
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sip import SipMessage

_DIALOGS: Final = 4096  # entries; messages make them, so there must be a bound


@dataclass(frozen=True)
class CapDuration:
    """Drop every message of a call, and close its media pinholes, ``seconds`` after it was answered.

    The pinholes close with the first message after that time.
    """

    seconds: Annotated[float, Gt(0)] = 43200.0

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, first=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        answered: dict[bytes, float] = context.remember(self, dict)
        call_id = message.value(b"call-id")
        since = answered.get(call_id)
        if since is not None:
            if context.now - since >= self.seconds:
                context.close_pinholes(dialog_owner(message))
                context.drop(f"the call has lasted {self.seconds:g} s")
            return
        if message.method == b"INVITE" and 200 <= (message.status or 0) < 300:
            if len(answered) >= _DIALOGS:
                del answered[next(iter(answered))]
            answered[call_id] = context.now


MODEL = Model(
    id="call-duration-cap",
    card=Card(
        fault_class="state",
        summary="Forgets a call 12 h after it was answered, and drops all messages of it from then on.",
        examples=(
            # Meanwhile the call's binding has ended, and a new one has replaced it.
            Example(
                "state-update-after-1h",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61006>",
            ),
            Example("state-update-after-13h", b"UPDATE sip:bob@198.51.100.20:5060 SIP/2.0", None),
        ),
        rules=("RFC 4028 10", "RFC 3261 12.2"),
        symptom=(
            "Every call that lasts that long drops at the next session refresh, and hanging up is not "
            "noticed by the other side."
        ),
        sources=(
            Source("Juniper: a call is torn down after 720 min", Evidence.VENDOR_DOCUMENTATION),
            Source(
                '"Why SIP ALG is the Hidden VoIP Killer": calls that drop after a fixed time', Evidence.SEED
            ),
        ),
        shows=(
            Showing("long-call(duration=43300)", "stays up"),
            Showing("long-call", "stays up", variant={"seconds": 1800.0}),
        ),
    ),
    fault=CapDuration(),
    variants=({"seconds": 1800.0},),
)
