"""The router admits media from the SIP server's address only."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.media import TranslateSdp
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class _AdmitServer(TranslateSdp):
    """Translation whose pinholes admit the signalling peer's address, any port of it."""

    def open_media(self, endpoint: Endpoint, owner: object, context: Context) -> Endpoint | None:
        return context.open_media(endpoint, owner, self.lifetime, admit=Endpoint(context.remote.ip, 0))


@dataclass(frozen=True)
class RestrictMediaSource:
    """Admit RTP and RTCP only from the signalling peer's address, and from where the phone has sent to."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, replace={TranslateSdp: self})

    def apply(self, message: SipMessage, context: Context) -> None:
        _AdmitServer().apply(message, context)


MODEL = Model(
    id="media-pinhole-source-restricted",
    card=Card(
        fault_class="state",
        summary="Translates correctly, but lets media in from the SIP server's address only.",
        examples=(
            Example("invite", b"m=audio 49170 RTP/AVP 0", b"m=audio 61004 RTP/AVP 0"),
            Example("invite", b"c=IN IP4 192.168.1.20", b"c=IN IP4 203.0.113.7"),
        ),
        rules=("RFC 3264 5.1",),
        symptom=(
            "With providers whose media come from another machine than their signalling the first seconds "
            "of a call are silent, or all of it when the phone does not send first."
        ),
        sources=(
            Source(
                "Linux net/netfilter/nf_conntrack_sip.c: sip_direct_media=1 is the default",
                Evidence.SOURCE_CODE,
            ),
            Source(
                "ZyXEL USG manual: an option restricts media to the registrar's address",
                Evidence.VENDOR_DOCUMENTATION,
            ),
        ),
        shows=(Showing("outgoing-call", "caller hears", phone="legacy", server="strict-addresses"),),
    ),
    fault=RestrictMediaSource(),
)
