"""The ALG does not translate the RTCP attribute of a session description, or only half of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.media import TranslateSdp
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.wire.sdp import SdpLine
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class _ForgetRtcp(TranslateSdp):
    """Translation without a pinhole for a=rtcp, which keeps its port. ``address``: translate its address."""

    address: bool = False

    def _rtcp(self, line: SdpLine, address: str, owner: object, context: Context) -> None:
        words = line.value.split(b" ")
        if self.address and len(words) == 4 and context.is_inside(words[3].decode("latin-1")):
            words[3] = context.nat.public_ip.encode()
            line.value = b" ".join(words)


@dataclass(frozen=True)
class LeaveRtcp:
    """Leave a=rtcp going out as it is.

    ``part``: ``all`` leaves the whole attribute; ``port`` translates its address and leaves its port.
    """

    part: Literal["all", "port"] = "all"

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, replace={TranslateSdp: self})

    def apply(self, message: SipMessage, context: Context) -> None:
        _ForgetRtcp(address=self.part == "port").apply(message, context)


MODEL = Model(
    id="sdp-rtcp-attr-stale",
    card=Card(
        fault_class="rewriting",
        summary="Translates o=, c= and m=, but leaves the RTCP address in a=rtcp private.",
        examples=(
            Example("media-rtcp", b"m=audio 49170 RTP/AVP 0", b"m=audio 61004 RTP/AVP 0"),
            Example("media-rtcp", b"a=rtcp:49171 IN IP4 192.168.1.20", b"a=rtcp:49171 IN IP4 192.168.1.20"),
        ),
        rules=("RFC 3605 2.1", "RFC 3264 5.1"),
        symptom=(
            "Voice works, but reports on its quality never reach the phone; a phone that takes their absence "
            "for a dead line hangs up in the middle of calls."
        ),
        sources=(
            Source("Linux net/netfilter/nf_conntrack_sip.c: a=rtcp is never touched", Evidence.SOURCE_CODE),
            Source(
                "Broadcom BCM963xx kernel: exchanges the address of a=rtcp and leaves the port",
                Evidence.SOURCE_CODE,
            ),
        ),
    ),
    fault=LeaveRtcp(),
    variants=({"part": "port"},),
)
