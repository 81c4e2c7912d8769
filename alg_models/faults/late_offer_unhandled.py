"""The ALG translates session descriptions in INVITE and its usual answers only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.media import TranslateSdp
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sip import SipMessage

_ANSWERS: Final = (180, 183, 200)


@dataclass(frozen=True)
class IgnoreLateOffers:
    """Leave session descriptions alone except in INVITE, UPDATE and in 180, 183 and 200.

    So the descriptions in ACK, PRACK and other answers stay as they were. ``update``: whether UPDATE and its
    answers are translated.
    """

    update: bool = True

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, replace={TranslateSdp: self})

    def apply(self, message: SipMessage, context: Context) -> None:
        method = message.method
        if method == b"UPDATE" and not self.update:
            return
        answer = message.is_response
        if message.status in _ANSWERS if answer else method in (b"INVITE", b"UPDATE"):
            TranslateSdp().apply(message, context)


MODEL = Model(
    id="late-offer-unhandled",
    card=Card(
        fault_class="rewriting",
        summary="Translates session descriptions in INVITE and its answers, but not in ACK and PRACK.",
        examples=(
            Example("media-ack", b"c=IN IP4 192.168.1.20", b"c=IN IP4 192.168.1.20"),
            Example("media-prack", b"m=audio 49170 RTP/AVP 0", b"m=audio 49170 RTP/AVP 0"),
            Example("media-update", b"m=audio 49170 RTP/AVP 0", b"m=audio 61004 RTP/AVP 0"),
            Example("invite", b"m=audio 49170 RTP/AVP 0", b"m=audio 61004 RTP/AVP 0"),
        ),
        rules=("RFC 3261 13.2.1", "RFC 3262 5", "RFC 3264 5.1"),
        symptom=(
            "Calls that exchange session descriptions late (transferred calls, click-to-dial, calls "
            "through some gateways) are one-way: the far side sends its voice to a private address."
        ),
        sources=(
            Source(
                "Broadcom BCM963xx kernel, net/netfilter/nf_conntrack_sip.c: SDP only in INVITE, UPDATE, "
                "180, 183 and 200",
                Evidence.SOURCE_CODE,
            ),
            Source("The same for UPDATE", Evidence.INFERENCE),
        ),
        shows=(Showing("late-offer(caller=phone)", "caller hears", server="strict-addresses"),),
    ),
    fault=IgnoreLateOffers(),
    variants=({"update": False},),
)
