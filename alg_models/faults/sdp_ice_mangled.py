"""ICE candidates no longer agree with the default address of their stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.media import TranslateSdp
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.wire.sdp import SdpLine
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class _ForgetCandidates(TranslateSdp):
    """Translation without pinholes for candidates. ``text``: translate the phone's address in them."""

    text: bool = False

    def _candidate(self, line: SdpLine, owner: object, context: Context) -> None:
        private = context.inside.ip.encode()
        if self.text:
            words = line.value.split(b" ")
            line.value = b" ".join(context.outside.ip.encode() if word == private else word for word in words)


@dataclass(frozen=True)
class MangleIce:
    """Translate c= and m= of an offer with ICE as if it had none.

    ``candidates``: ``kept`` leaves a=candidate lines going out as they are; ``address-only`` translates the
    phone's address in them and leaves the ports.
    """

    candidates: Literal["kept", "address-only"] = "kept"

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, replace={TranslateSdp: self})

    def apply(self, message: SipMessage, context: Context) -> None:
        _ForgetCandidates(text=self.candidates == "address-only").apply(message, context)


MODEL = Model(
    id="sdp-ice-mangled",
    card=Card(
        fault_class="rewriting",
        summary="Translates c= and m=, but not the ICE candidates, so that none is the default any more.",
        examples=(
            Example("media-ice", b"c=IN IP4 192.168.1.20", b"c=IN IP4 203.0.113.7"),
            Example("media-ice", b"m=audio 49170 RTP/AVP 0", b"m=audio 61004 RTP/AVP 0"),
            Example(
                "media-ice",
                b"a=candidate:1 1 UDP 2130706431 192.168.1.20 49170 typ host",
                b"a=candidate:1 1 UDP 2130706431 192.168.1.20 49170 typ host",
            ),
        ),
        rules=("RFC 8839 4.2.5", "RFC 8839 5.3"),
        symptom=(
            "The far side answers a=ice-mismatch and both give ICE up: no direct media, and no sound where "
            "only ICE would have found the way."
        ),
        sources=(
            Source(
                "Routers that change c= and m= break ICE: ice-mismatch",
                Evidence.USER_REPORT,
                "https://trac.pjsip.org/repos/wiki/NAT_Routers_Issues?version=3",
            ),
        ),
    ),
    fault=MangleIce(),
    variants=({"candidates": "address-only"},),
)
