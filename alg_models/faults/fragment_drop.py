"""The router drops IP fragments."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Source


@dataclass(frozen=True)
class DropFragments:
    """Drop every IP fragment, both ways, whatever it carries."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, policy={"fragments": "drop"})


MODEL = Model(
    id="fragment-drop",
    card=Card(
        fault_class="transport",
        summary="Translates correctly, but drops datagrams that come in fragments.",
        examples=(
            Example("transport-fragments", b"INVITE sip:bob@lab.test SIP/2.0", None),
            Example("invite", b"m=audio 49170 RTP/AVP 0", b"m=audio 61004 RTP/AVP 0"),
        ),
        rules=("RFC 4787 11", "RFC 3261 18.1.1"),
        symptom=(
            "Short messages pass, long ones vanish: phones with many codecs or with video register but can't "
            "call, and long presence or busy-lamp lists never arrive. Over TCP everything works."
        ),
        sources=(
            Source(
                "Provider's instructions for routers and firewalls: fragmented UDP must pass",
                Evidence.USER_REPORT,
                "https://www.nfon.com/de/systemspecifictopics/merkblatt-plug-play-20/"
                "b-router-/-firewall-einstellungen",
            ),
            Source("That the ALG is what drops them", Evidence.INFERENCE),
        ),
    ),
    fault=DropFragments(),
)
