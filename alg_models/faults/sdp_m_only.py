"""The ALG translates the media ports of a session description, but not its addresses."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.descriptions import keep_lines, translated
from siplab.alg_models.steps.media import TranslateSdp
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class LeaveAddresses:
    """Leave the addresses of c= and o= lines going out as the phone wrote them."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, replace={TranslateSdp: self})

    def apply(self, message: SipMessage, context: Context) -> None:
        found = translated(message, context)
        if found is None or not context.outbound:
            return
        before, after = found
        for old, new in zip(before.sections, after.sections, strict=True):
            keep_lines(old, new, b"co")
        message.body = bytes(after)


MODEL = Model(
    id="sdp-m-only",
    card=Card(
        fault_class="rewriting",
        summary="Translates the ports of m=, but leaves the private address in c= and o=.",
        examples=(
            Example("invite", b"m=audio 49170 RTP/AVP 0", b"m=audio 61004 RTP/AVP 0"),
            Example("invite", b"c=IN IP4 192.168.1.20", b"c=IN IP4 192.168.1.20"),
        ),
        rules=("RFC 3264 5.1", "RFC 8866 5.7"),
        symptom=(
            "The far side is told to send its voice to a private address: the user hears nothing, unless the "
            "far side sends to where the phone's own voice comes from."
        ),
        sources=(Source("Follows from translating one half of an RTP address only", Evidence.INFERENCE),),
        shows=(Showing("outgoing-call", "caller hears", server="strict-addresses"),),
    ),
    fault=LeaveAddresses(),
)
