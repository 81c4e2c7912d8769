"""Silence closes the way for media, while the call goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sdp import Sdp
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class BlockIdleMedia:
    """Close a call's RTP and RTCP pinholes after ``seconds`` without a packet in either direction.

    A new session description (a re-INVITE) opens them again.
    """

    seconds: Annotated[float, Gt(0)] = 120.0

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if not context.outbound or b"m=" not in message.body:
            return
        for section in Sdp.parse(message.body).media:
            if section.port:
                context.limit_media(section.port, self.seconds)


MODEL = Model(
    id="media-idle-blocked",
    card=Card(
        fault_class="state",
        summary="Closes a call's media pinholes after 120 s of silence, without ending the call.",
        examples=(
            Example("invite", b"m=audio 49170 RTP/AVP 0", b"m=audio 61004 RTP/AVP 0"),
            # RTP to port 61004 after five minutes of silence; the call is still up.
            Example("state-rtp-after-silence", b"speech", None),
        ),
        rules=("RFC 4787 4.3", "RFC 3264 8.4"),
        symptom=(
            "After hold, or after a long silence with phones that send nothing then, the phone hears the "
            "other side no more. The call stays up."
        ),
        sources=(
            Source(
                "Cisco ASA: sip_media times out after 2 min",
                Evidence.VENDOR_DOCUMENTATION,
            ),
            Source("Juniper: media inactivity timeout, 120 s", Evidence.VENDOR_DOCUMENTATION),
            Source(
                "ZyXEL: the audio timeout, 5 min, 'does not drop the call but blocks all voice'",
                Evidence.VENDOR_DOCUMENTATION,
            ),
        ),
        shows=(Showing("media-silence", "caller hears after the silence", server="strict-addresses"),),
    ),
    fault=BlockIdleMedia(),
    variants=({"seconds": 300.0},),
)
