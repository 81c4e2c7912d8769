"""A call on hold loses its media ports."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.descriptions import described, is_held
from siplab.alg_models.steps.media import dialog_owner
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sdp import address_of
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class ReleaseOnHold:
    """Close a dialog's pinholes and free its public ports when a description puts the call on hold.

    That is a description, of either side, in which every used stream is sendonly, recvonly, inactive or at
    0.0.0.0. The description that ends the hold gets ports again: other ones, unless the old ones are free.
    """

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        sdp = described(message)
        if sdp is None:
            return
        used = [section for section in sdp.media if section.port]
        if not used or not all(is_held(sdp, each, address_of(sdp.connection(each))) for each in used):
            return
        owner = dialog_owner(message)
        freed = [
            binding
            for binding in context.nat.bindings
            if any(pinhole.owner == owner for pinhole in binding.pinholes)
        ]
        context.close_pinholes(owner)
        for binding in freed:
            binding.expires = context.now  # a binding with another dialog's pinhole lives on


MODEL = Model(
    id="hold-releases-media",
    card=Card(
        fault_class="state",
        summary="Translates correctly, but frees a call's media ports and closes their pinholes on hold.",
        examples=(
            Example("media-hold", b"m=audio 49170 RTP/AVP 0", b"m=audio 61004 RTP/AVP 0"),
            Example("media-resume", b"m=audio 49170 RTP/AVP 0", b"m=audio 61006 RTP/AVP 0"),
        ),
        rules=("RFC 3264 8.4", "RFC 3264 8.3.1"),
        symptom=(
            "Music on hold is not heard, and after a call is taken back from hold it is one-way with far "
            "ends that go on sending to the port which the call began with."
        ),
        sources=(
            Source(
                "Junos command reference, retain-hold-resource: media resources are freed on hold by default",
                Evidence.VENDOR_DOCUMENTATION,
            ),
            Source(
                "Junos 10.2 security guide: hold and resume re-allocate the media address and port, which "
                "some clients ignore",
                Evidence.VENDOR_DOCUMENTATION,
                "https://juniper.net/documentation/software/junos-security/junos-security10.2/"
                "junos-security-swconfig-security/topic-42171.html",
            ),
        ),
        shows=(
            Showing("hold(by=far-phone,music=true)", "held side hears on hold", server="strict-addresses"),
        ),
    ),
    fault=ReleaseOnHold(),
)
