"""The ALG treats RTP on an odd port as RTP on the even port beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.descriptions import described, translated
from siplab.alg_models.steps.media import TranslateSdp
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sdp import address_of
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class RoundRtpPort:
    """For a stream announced on an odd port, reserve and announce a public pair for an even port.

    ``rounding``: ``down`` takes the even port below, ``up`` the one above. With ``down``, a public port equal
    to that even port is not written.
    """

    rounding: Literal["down", "up"] = "down"

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, replace={TranslateSdp: self})

    def apply(self, message: SipMessage, context: Context) -> None:
        sdp = described(message)
        if sdp is None or not context.outbound:
            TranslateSdp().apply(message, context)
            return
        rounded: dict[int, int] = {}
        for at, section in enumerate(sdp.media):
            port = section.port or 0
            address = address_of(sdp.connection(section)).decode("latin-1")
            if port % 2 and 1 < port < 65535 and context.is_inside(address):
                rounded[at] = port
                section.port = port - 1 if self.rounding == "down" else port + 1
        message.body = bytes(sdp)
        found = translated(message, context)
        if found is None:
            return
        before, after = found
        public = context.nat.public_ip.encode()
        for at, port in rounded.items():
            section = after.media[at]
            same = section.port == before.media[at].port
            refused = address_of(after.connection(section)) != public
            if refused or (same and self.rounding == "down"):
                section.port = port
        message.body = bytes(after)


MODEL = Model(
    id="odd-rtp-port",
    card=Card(
        fault_class="rewriting",
        summary="Translates an odd RTP port as if it were the even one below it.",
        examples=(
            Example("media-odd", b"m=audio 49171 RTP/AVP 0", b"m=audio 61004 RTP/AVP 0"),
            Example("invite", b"m=audio 49170 RTP/AVP 0", b"m=audio 61004 RTP/AVP 0"),
        ),
        rules=("RFC 3550 11", "RFC 3264 5.1"),
        symptom=(
            "A phone that uses odd ports for voice hears nothing: the far side's voice arrives one port "
            "beside the one that it listens at."
        ),
        sources=(
            Source(
                "Linux net/netfilter/nf_conntrack_sip.c: the lowest bit of the RTP port is cleared",
                Evidence.SOURCE_CODE,
            ),
            Source("Rounding up", Evidence.INFERENCE),
        ),
        shows=(
            Showing(
                "outgoing-call",
                "caller hears",
                phone="quirky(quirk=odd-media-port)",
                server="strict-addresses",
            ),
        ),
    ),
    fault=RoundRtpPort(),
    variants=({"rounding": "up"},),
)
