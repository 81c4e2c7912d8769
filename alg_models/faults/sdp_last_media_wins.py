"""The last stream's address is written over the session's c= and o=."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.descriptions import translated
from siplab.alg_models.steps.media import TranslateSdp
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sdp import address_of, set_address
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class LastMediaWins:
    """Write the address of the last stream that is in use into o= and into the session's c=, both ways."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, replace={TranslateSdp: self})

    def apply(self, message: SipMessage, context: Context) -> None:
        found = translated(message, context)
        if found is None:
            return
        sdp = found[1]
        used = [address_of(sdp.connection(section)) for section in sdp.media if section.port]
        if not used or not used[-1]:
            return
        for line in sdp.session.lines:
            if line.type in (b"c", b"o"):
                set_address(line, used[-1])
        message.body = bytes(sdp)


MODEL = Model(
    id="sdp-last-media-wins",
    card=Card(
        fault_class="rewriting",
        summary="Overwrites the session's c= and o= with the address of the last stream, in both directions.",
        examples=(
            Example(
                "media-relays",
                b"c=IN IP4 198.51.100.20\r\nt=0 0",
                b"c=IN IP4 198.51.100.21\r\nt=0 0",
            ),
            Example("media-relays", b"o=bob 2 1 IN IP4 198.51.100.20", b"o=bob 2 1 IN IP4 198.51.100.21"),
        ),
        rules=("RFC 8866 5.7", "RFC 8866 5.2"),
        symptom=(
            "In calls with several streams the first one goes to the relay of the last one: video works, "
            "voice does not."
        ),
        sources=(
            Source(
                "Linux net/netfilter/nf_conntrack_sip.c and nf_nat_sip.c: session address written after the "
                "loop over media",
                Evidence.SOURCE_CODE,
            ),
            Source("What it does to streams with different addresses", Evidence.INFERENCE),
        ),
        shows=(Showing("outgoing-call", "caller hears", phone="quirky(quirk=video-on-hold)"),),
    ),
    fault=LastMediaWins(),
)
