"""Via is restored in answers of some status codes and left translated in others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.headers import TranslateVia
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.wire.sip import SipMessage

_LEFT_ALONE: Final = frozenset({100, 180, 183, 200})
_TRANSLATE: Final = TranslateVia()


@dataclass(frozen=True)
class SkipViaOfSomeCodes:
    """Leave Via alone, in either direction, in responses 100, 180, 183 and 200."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, replace={TranslateVia: self})

    def apply(self, message: SipMessage, context: Context) -> None:
        if message.status not in _LEFT_ALONE:
            _TRANSLATE.apply(message, context)


MODEL = Model(
    id="via-not-restored-some-codes",
    card=Card(
        fault_class="rewriting",
        summary=(
            "Translates correctly, but leaves the public address in the Via of responses 100, 180, 183 and "
            "200; others are restored."
        ),
        examples=(
            Example(
                "register-ok",
                b"Via: SIP/2.0/UDP 203.0.113.7:61002;rport=61002;branch=z9hG4bK74;received=203.0.113.7",
                b"Via: SIP/2.0/UDP 203.0.113.7:61002;rport=61002;branch=z9hG4bK74;received=203.0.113.7",
            ),
            Example(
                "headers-challenge",
                b"Via: SIP/2.0/UDP 203.0.113.7:61002;rport=61002;branch=z9hG4bK74;received=203.0.113.7",
                b"Via: SIP/2.0/UDP 192.168.1.20:5060;rport=5060;branch=z9hG4bK74;received=192.168.1.20",
            ),
        ),
        rules=("RFC 3261 18.1.2",),
        symptom=(
            "Phones that check Via take the challenge and ignore the success: they register over and over, "
            "and calls are answered without their noticing."
        ),
        sources=(
            Source(
                "Broadcom BCM963xx kernel, net/netfilter/nf_conntrack_sip.c: Via of 100, 180, 183 and 200 "
                "is not touched in either direction",
                Evidence.SOURCE_CODE,
            ),
        ),
    ),
    fault=SkipViaOfSomeCodes(),
)
