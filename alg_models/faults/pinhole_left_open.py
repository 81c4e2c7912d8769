"""The end of a call does not close its media pinholes."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.media import CloseDialog
from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Source


@dataclass(frozen=True)
class LeaveOpen:
    """Leave a call's media pinholes open after BYE, and after an INVITE that failed.

    They admit everybody, and end a day later.
    """

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, replace={CloseDialog: None})


MODEL = Model(
    id="pinhole-left-open",
    card=Card(
        fault_class="state",
        summary="Translates correctly, but neither BYE nor a failed call closes the media pinholes.",
        examples=(
            Example("invite", b"m=audio 49170 RTP/AVP 0", b"m=audio 61004 RTP/AVP 0"),
            # A stranger's packet to port 61004, ten seconds after the call.
            Example("state-stranger-after-bye", b"speech", b"speech"),
        ),
        rules=("RFC 4787 5", "RFC 3261 15"),
        symptom=(
            "Nobody notices: anybody on the internet can send packets to the phone's media port "
            "after the call. After many calls the router has no ports left."
        ),
        sources=(
            Source(
                "TP-Link MT7628 kernel: BYE and a failed INVITE do not remove media pinholes, which admit "
                "any source",
                Evidence.SOURCE_CODE,
            ),
            Source("Broadcom BCM963xx kernel: the RTP pinhole admits any source", Evidence.SOURCE_CODE),
            Source('"SIP ALG - Why Does It Need to be Disabled?": ports that stay open', Evidence.SEED),
            Source('"Why SIP ALG is the Hidden VoIP Killer": firewall pinholes', Evidence.SEED),
        ),
    ),
    fault=LeaveOpen(),
)
