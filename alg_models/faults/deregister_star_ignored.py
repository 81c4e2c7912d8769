"""``Contact: *`` ends the registrations at the server, but not the router's pinhole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.headers import HoldRegistration
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sip import SipMessage

_HOLD: Final = HoldRegistration()
_LIMIT: Final = 1024  # entries; messages make them, so there must be a bound


@dataclass(frozen=True)
class OverlookStar:
    """Hold registrations as the correct ALG does, but ignore a REGISTER with ``Contact: *``."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, replace={HoldRegistration: self})

    def apply(self, message: SipMessage, context: Context) -> None:
        if message.method == b"REGISTER":
            key = (context.inside, message.value(b"call-id"), message.value(b"cseq"))
            overlooked: dict[object, None] = context.remember(self, dict)
            if message.is_response:
                if not context.outbound and key in overlooked:
                    return
            elif context.outbound and any(field.value == b"*" for field in message.all(b"contact")):
                if len(overlooked) >= _LIMIT:
                    del overlooked[next(iter(overlooked))]
                overlooked[key] = None
        _HOLD.apply(message, context)


MODEL = Model(
    id="deregister-star-ignored",
    card=Card(
        fault_class="state",
        summary="Leaves the way in open when a phone removes all of its registrations with 'Contact: *'.",
        examples=(
            Example(
                "state-invite-after-star",
                b"INVITE sip:alice@203.0.113.7:61002",
                b"INVITE sip:alice@192.168.1.20:5060",
            ),
        ),
        rules=("RFC 3261 10.2.2",),
        symptom=(
            "Nobody notices: up to an hour after a phone has signed off its port can still be reached from "
            "the server's address."
        ),
        sources=(
            Source(
                "ZyXEL variant of nf_conntrack_sip.c in the Broadcom BCM963xx kernel: a comment says that "
                "the pinhole stayed open without special handling of 'Contact: *'",
                Evidence.SOURCE_CODE,
            ),
        ),
        shows=(Showing("stale-pinhole(after=sign-off)", "stays shut"),),
    ),
    fault=OverlookStar(),
)
