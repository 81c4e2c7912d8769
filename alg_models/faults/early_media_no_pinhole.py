"""Media that come before the call is answered are not let in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.media import TranslateSdp, dialog_owner
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.headers import tag_of
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

_NOBODY: Final = Endpoint("", 0)  # no packet comes from there


@dataclass(frozen=True)
class _Reserve(TranslateSdp):
    """Translation whose pinholes admit nobody yet: they only reserve the port."""

    def open_media(self, endpoint: Endpoint, owner: object, context: Context) -> Endpoint | None:
        return context.open_media(endpoint, owner, self.lifetime, admit=_NOBODY)


@dataclass(frozen=True)
class NoEarlyMedia:
    """Open no pinholes for media until a call is answered.

    ``mode``: ``until-answer`` reserves ports for a first offer or an early answer going out, and opens them
    when the 200 passes; ``not-inspected`` leaves session descriptions of provisional answers alone.
    """

    mode: Literal["until-answer", "not-inspected"] = "until-answer"

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, replace={TranslateSdp: self})

    def apply(self, message: SipMessage, context: Context) -> None:
        status = message.status
        early = status is not None and status < 200
        if self.mode == "not-inspected":
            if not early:
                TranslateSdp().apply(message, context)
            return
        # A request without a tag in To begins a dialog. Inside a dialog, pinholes for media exist already.
        first = message.method == b"INVITE" and not message.is_response and not tag_of(message.value(b"to"))
        if context.outbound and (early or first):
            _Reserve().apply(message, context)
            return
        TranslateSdp().apply(message, context)
        if status is not None and 200 <= status < 300 and message.method == b"INVITE":
            self._answered(message, context)

    def _answered(self, message: SipMessage, context: Context) -> None:
        """Open the pinholes that were reserved for this call."""
        owner = dialog_owner(message)
        for binding in context.nat.bindings:
            for pinhole in binding.pinholes:
                if pinhole.owner == owner:
                    pinhole.remote = None


MODEL = Model(
    id="early-media-no-pinhole",
    card=Card(
        fault_class="state",
        summary="Translates correctly, but lets no media in before a call is answered.",
        examples=(Example("media-early", b"m=audio 49170 RTP/AVP 0", b"m=audio 61004 RTP/AVP 0"),),
        rules=("RFC 3264 5.1", "RFC 3960 3.2"),
        symptom=(
            "No ringing tone and no announcement ('the number has changed') from the network before the call "
            "is answered, unless the phone sends media first."
        ),
        sources=(Source("Follows from opening media by the final answer only", Evidence.INFERENCE),),
        shows=(Showing("early-media", "hears the announcement", phone="legacy", server="strict-addresses"),),
    ),
    fault=NoEarlyMedia(),
    variants=({"mode": "not-inspected"},),
)
