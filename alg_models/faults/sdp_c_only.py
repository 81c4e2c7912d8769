"""Addresses of a session description are translated, media ports are not."""

from __future__ import annotations

from dataclasses import dataclass

from alg_models.controls import CORRECT_STEPS
from alg_models.steps.descriptions import translated
from alg_models.steps.media import TranslateSdp
from lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from lab.wire.sip import SipMessage


@dataclass(frozen=True)
class LeaveMediaPorts:
    """Leave the ports of m= lines going out as the phone wrote them, whatever public ports stand for them."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, replace={TranslateSdp: self})

    def apply(self, message: SipMessage, context: Context) -> None:
        found = translated(message, context)
        if found is None or not context.outbound:
            return
        before, after = found
        for old, new in zip(before.media, after.media, strict=True):
            new.media = old.media
        message.body = bytes(after)


MODEL = Model(
    id="sdp-c-only",
    card=Card(
        fault_class="rewriting",
        summary="Translates o= and c= of a session description, but leaves the ports of m= as they are.",
        examples=(
            Example("invite", b"c=IN IP4 192.168.1.20", b"c=IN IP4 203.0.113.7"),
            Example("invite", b"m=audio 49170 RTP/AVP 0", b"m=audio 49170 RTP/AVP 0"),
            Example("incoming-ok", b"m=audio 49170 RTP/AVP 0", b"m=audio 49170 RTP/AVP 0"),
        ),
        rules=("RFC 3264 5.1", "RFC 8866 5.14"),
        symptom=(
            "The far side's voice goes to a public port that nobody holds, and is not heard, unless the far "
            "side sends to where the phone's own voice comes from or the router happens to keep ports."
        ),
        sources=(
            Source("Founding article 2: port mapping confusion", Evidence.SEED),
            Source("That it is the media ports which stay", Evidence.INFERENCE),
        ),
    ),
    fault=LeaveMediaPorts(),
)
