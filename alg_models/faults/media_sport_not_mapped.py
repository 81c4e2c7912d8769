"""The phone's own media leave from another public port than the announced one."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Showing, Source


@dataclass(frozen=True)
class ForgetMediaSource:
    """Use the reserved public port for media coming in, and another one for media that the phone sends."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, nat={"media_symmetry": False})


MODEL = Model(
    id="media-sport-not-mapped",
    card=Card(
        fault_class="state",
        summary="Announces a public media port, but sends the phone's own media from another one.",
        examples=(Example("invite", b"m=audio 49170 RTP/AVP 0", b"m=audio 61004 RTP/AVP 0"),),
        rules=("RFC 4961 4", "RFC 4787 4.1"),
        symptom=(
            "The far side does not hear the user when it accepts media only from the port that was announced "
            "to it; far ends that adapt to where media come from are fine."
        ),
        sources=(
            Source(
                "Linux before 4.20: patch 'netfilter: nf_nat_sip: fix RTP/RTCP source port translations'",
                Evidence.SOURCE_CODE,
            ),
        ),
        shows=(Showing("outgoing-call", "callee hears", server="strict-media"),),
    ),
    fault=ForgetMediaSource(),
)
