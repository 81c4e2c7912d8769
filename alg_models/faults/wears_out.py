"""After some hours the router lets no SIP requests in any more."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Gt

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sip import SipMessage


@dataclass
class _Since:
    first: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class WearOut:
    """From ``seconds`` after its first message on, the ALG drops requests coming in. A restart ends this."""

    seconds: Annotated[float, Gt(0)] = 16200.0

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, first=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        first = context.remember(self, _Since).first
        if not first:
            first.append(context.now)
        if not context.outbound and message.is_request and context.now - first[0] >= self.seconds:
            context.drop("worn out")


MODEL = Model(
    id="wears-out",
    card=Card(
        fault_class="state",
        summary="Translates correctly for four and a half hours, and lets no requests in from then on.",
        examples=(
            Example("incoming-invite", b"INVITE sip:alice@203.0.113.7", b"INVITE sip:alice@192.168.1.20"),
            Example("state-invite-after-5h", b"INVITE sip:alice@203.0.113.7", None),
        ),
        rules=("RFC 4787 4.3",),
        symptom=(
            "Phones work in the morning, and are not called any more in the afternoon, until the router "
            "is restarted."
        ),
        sources=(
            Source(
                "OpenMPTCProuter issue 801: phones drop off after four to five hours until a restart",
                Evidence.USER_REPORT,
                "https://github.com/Ysurac/openmptcprouter/issues/801",
            ),
            Source(
                "OPNsense core issue 800: states have to be reset daily for SIP",
                Evidence.USER_REPORT,
                "https://github.com/opnsense/core/issues/800",
            ),
        ),
        shows=(
            Showing("incoming-call(idle=18000)", "rings", server="hosted"),
            Showing("long-uptime", "is called every time"),
        ),
    ),
    fault=WearOut(),
)
