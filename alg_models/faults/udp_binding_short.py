"""UDP bindings end long before RFC 4787 allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt

from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Source


@dataclass(frozen=True)
class ForgetSoon:
    """End each UDP binding after ``seconds`` without traffic going out; messages are left alone."""

    seconds: Annotated[float, Gt(0)] = 30.0

    def recipe(self) -> Recipe:
        return Recipe(nat={"udp_timeout": self.seconds})


MODEL = Model(
    id="udp-binding-short",
    card=Card(
        fault_class="state",
        summary="No ALG, and a NAT that forgets a UDP binding after 30 s of silence.",
        examples=(
            Example("incoming-invite", b"INVITE sip:alice@203.0.113.7", b"INVITE sip:alice@203.0.113.7"),
            Example("state-invite-after-70s", b"INVITE sip:alice@203.0.113.7", None),
        ),
        rules=("RFC 4787 4.3",),
        symptom=(
            "Incoming calls reach voicemail unless the phone or the server sends keep-alives more often than "
            "the router forgets; a call in which signalling is silent can't be ended by the other side."
        ),
        sources=(
            Source('"What is SIP ALG?": UDP bindings end after 30 to 60 s', Evidence.SEED),
            Source(
                "Linux, nf_conntrack_udp_timeout: 30 s until a flow counts as a stream",
                Evidence.VENDOR_DOCUMENTATION,
            ),
        ),
    ),
    fault=ForgetSoon(),
    variants=({"seconds": 60.0},),
)
