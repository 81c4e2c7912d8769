"""A refused stream gets a port and looks accepted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.descriptions import translated
from siplab.alg_models.steps.media import TranslateSdp
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class ReviveStream:
    """Write ``port`` into m= lines going out whose port is 0, like an ALG that raises ports to a minimum."""

    port: Annotated[int, Ge(1), Le(65535)] = 1024

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, replace={TranslateSdp: self})

    def apply(self, message: SipMessage, context: Context) -> None:
        found = translated(message, context)
        if found is None or not context.outbound:
            return
        sdp = found[1]
        for section in sdp.media:
            if section.port == 0:
                section.port = self.port
        message.body = bytes(sdp)


MODEL = Model(
    id="port-zero-revived",
    card=Card(
        fault_class="rewriting",
        summary="Translates correctly, but gives a stream that the phone refused with port 0 a real port.",
        examples=(
            Example("media-refused-video", b"m=video 0 RTP/AVP 96", b"m=video 1024 RTP/AVP 96"),
            Example("media-refused", b"m=audio 0 RTP/AVP 0", b"m=audio 1024 RTP/AVP 0"),
        ),
        rules=("RFC 3264 6", "RFC 3264 8.2"),
        symptom=(
            "The far side takes a refused or ended stream for accepted: it sends video or fax to a port that "
            "nobody listens at, or shows a picture that never comes."
        ),
        sources=(
            Source(
                "Broadcom BCM963xx kernel, net/netfilter/nf_conntrack_sip.c: ports below 1024 are "
                "raised to it",
                Evidence.SOURCE_CODE,
            ),
            Source("That a port of 0 is raised as well", Evidence.INFERENCE),
        ),
        shows=(Showing("video(camera=false)", "sends no picture"),),
    ),
    fault=ReviveStream(),
)
