"""The ALG does not inspect a datagram that comes in fragments."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Showing, Source


@dataclass(frozen=True)
class PassFragments:
    """If a datagram comes in fragments, translate the packets' addresses but not the message."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, policy={"fragments": "unprocessed"})


MODEL = Model(
    id="fragment-unprocessed",
    card=Card(
        fault_class="transport",
        summary="Translates correctly, but lets messages that come in fragments pass with private addresses.",
        examples=(
            Example(
                "transport-fragments",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@192.168.1.20:5060>",
            ),
            Example("transport-fragments", b"m=audio 49170 RTP/AVP 0", b"m=audio 49170 RTP/AVP 0"),
            Example("invite", b"m=audio 49170 RTP/AVP 0", b"m=audio 61004 RTP/AVP 0"),
        ),
        rules=("RFC 4787 11", "RFC 3261 18.1.1"),
        symptom=(
            "Short messages are translated, long ones are not: an INVITE with many codecs leads to a call "
            "without audio from the far side, or one that ends after 32 s, while a short one works."
        ),
        sources=(
            Source(
                "Broadcom BCM963xx kernel, net/netfilter/nf_conntrack_sip.c: "
                "packets in several buffers pass unmodified",
                Evidence.SOURCE_CODE,
            ),
        ),
        shows=(Showing("large-invite", "caller hears", phone="legacy", server="hosted(latch=untrusted)"),),
    ),
    fault=PassFragments(),
)
