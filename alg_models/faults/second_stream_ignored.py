"""The ALG translates only the first streams of a session description."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.descriptions import described, translated
from siplab.alg_models.steps.media import TranslateSdp
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class TranslateFirstStreams:
    """Translate addresses going out everywhere, but the ports of the first streams only.

    ``handled``: ``audio-and-video`` means the first audio and the first video stream, ``first`` only the
    first m= line. Other streams get no pinhole.
    """

    handled: Literal["audio-and-video", "first"] = "audio-and-video"

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, replace={TranslateSdp: self})

    def apply(self, message: SipMessage, context: Context) -> None:
        sdp = described(message)
        if sdp is None or not context.outbound:
            TranslateSdp().apply(message, context)
            return
        ignored: dict[int, int] = {}
        seen: set[bytes] = set()
        for at, section in enumerate(sdp.media):
            kind = section.media.value.split(b" ")[0] if section.media else b""
            if self.handled == "first":
                handled = at == 0
            else:
                handled = kind in (b"audio", b"video") and kind not in seen
            seen.add(kind)
            if not handled and section.port:
                ignored[at] = section.port
                section.port = 0  # so that the translation skips this stream
        message.body = bytes(sdp)
        found = translated(message, context)
        if found is None:
            return
        after = found[1]
        for at, port in ignored.items():
            after.media[at].port = port
        message.body = bytes(after)


MODEL = Model(
    id="second-stream-ignored",
    card=Card(
        fault_class="rewriting",
        summary="Translates the first audio and the first video stream, and leaves the ports of all others.",
        examples=(
            Example("media-streams", b"m=audio 49170 RTP/AVP 0", b"m=audio 61004 RTP/AVP 0"),
            Example("media-streams", b"m=audio 49172 RTP/AVP 8", b"m=audio 49172 RTP/AVP 8"),
            Example("media-streams", b"m=image 49180 udptl t38", b"m=image 49180 udptl t38"),
        ),
        rules=("RFC 3264 5.1", "RFC 8866 5.14"),
        symptom="Voice works; faxes fail, and a second stream is one-way.",
        sources=(
            Source(
                "Broadcom BCM963xx kernel, net/netfilter/nf_conntrack_sip.c: first m=audio and first m=video",
                Evidence.SOURCE_CODE,
            ),
            Source(
                "WatchGuard Fireware help: a limit of media sessions per call, 2 by default",
                Evidence.VENDOR_DOCUMENTATION,
                "https://www.watchguard.com/help/docs/help-center/en-US/Content/en-US/Fireware/proxies/sip/"
                "sip_proxy_general_c.html",
            ),
            Source(
                "Inbound faxes failing",
                Evidence.USER_REPORT,
                "https://documentation.emetrotel.com/unexpected-call-failures-and-registration-problems/",
            ),
        ),
        shows=(Showing("fax", "caller gets fax", server="strict-addresses"),),
    ),
    fault=TranslateFirstStreams(),
    variants=({"handled": "first"},),
)
