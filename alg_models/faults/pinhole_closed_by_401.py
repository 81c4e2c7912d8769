"""A challenge to a re-registration closes the registration's pinhole."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.headers import name_addr
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class CloseOnChallenge:
    """End a registration's pinhole on any final answer to REGISTER except a 2xx; 401 and 407 end it, too."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if context.outbound or message.method != b"REGISTER" or (message.status or 0) < 300:
            return
        context.hold_registration(context.inside, 0, name_addr(message.value(b"to")).uri)


MODEL = Model(
    id="pinhole-closed-by-401",
    card=Card(
        fault_class="state",
        summary="Closes the way in for calls when a re-registration is challenged, until it has succeeded.",
        examples=(Example("state-invite-during-challenge", b"INVITE sip:alice@203.0.113.7:61002", None),),
        rules=("RFC 3261 10.3", "RFC 3261 22.2"),
        symptom=(
            "Now and then an incoming call goes to voicemail: it came from another port of the provider "
            "while the phone was registering again, or after a re-registration that stopped at the challenge."
        ),
        sources=(
            Source(
                "Linux net/netfilter/nf_conntrack_sip.c: a final answer to REGISTER other than 2xx removes "
                "the expectation for signalling",
                Evidence.SOURCE_CODE,
            ),
            Source("That calls are lost in the meantime", Evidence.INFERENCE),
        ),
        shows=(Showing("re-register(overload=true)", "rings"),),
    ),
    fault=CloseOnChallenge(),
)
