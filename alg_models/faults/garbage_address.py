"""If no stream is in use, the ALG writes uninitialised memory as the session's address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.descriptions import translated
from siplab.alg_models.steps.media import TranslateSdp
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sdp import set_address
from siplab.lab.wire.sip import SipMessage

_KNOWN: Final = (b"audio", b"video", b"image")


@dataclass(frozen=True)
class WriteGarbage:
    """Overwrite o= and the session's c=, both ways, if no audio, video or image stream has a port.

    ``address``: what is written; the real ALG writes whatever its memory holds.
    """

    address: str = "16.72.129.0"

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, replace={TranslateSdp: self})

    def apply(self, message: SipMessage, context: Context) -> None:
        found = translated(message, context)
        if found is None:
            return
        sdp = found[1]
        for section in sdp.media:
            if section.port and section.media is not None and section.media.value.startswith(_KNOWN):
                return
        for line in sdp.session.lines:
            if line.type in (b"c", b"o"):
                set_address(line, self.address.encode())
        message.body = bytes(sdp)


MODEL = Model(
    id="garbage-address",
    card=Card(
        fault_class="rewriting",
        summary="Writes a garbage address into o= and c= when no stream of the description is in use.",
        examples=(
            Example("media-refused", b"c=IN IP4 192.168.1.20", b"c=IN IP4 16.72.129.0"),
            Example("media-refused", b"o=alice 1 1 IN IP4 192.168.1.20", b"o=alice 1 1 IN IP4 16.72.129.0"),
        ),
        rules=("RFC 8866 5.2", "RFC 8866 5.7", "RFC 3264 8"),
        symptom=(
            "A call breaks when its streams are switched off or replaced by a kind that the router does not "
            "know: the other side sees another session and refuses or ends the call."
        ),
        sources=(
            Source(
                "Linux stable changelog, "
                "'nf_conntrack_sip: fix use of uninitialized rtp_addr in process_sdp'",
                Evidence.SOURCE_CODE,
            ),
        ),
        shows=(Showing("hold(how=zero-port)", "is held", server="strict-media"),),
    ),
    fault=WriteGarbage(),
)
