"""The ALG writes the public endpoint that a phone had first, even if the phone has another one now.

The ALG never forgets that endpoint, and the NAT keeps its mappings when the line gets another address.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.headers import HoldRegistration
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

_PHONES: Final = 4096  # entries; packets make them, so there must be a bound


@dataclass
class _First:
    outside: dict[Endpoint, Endpoint] = field(default_factory=dict)


@dataclass(frozen=True)
class KeepFirst:
    """If a phone's public endpoint has changed, write the first one into its messages going out."""

    def recipe(self) -> Recipe:
        # Nothing keeps the registration's binding alive, so after a pause the NAT makes another one.
        return Recipe(
            base=CORRECT_STEPS,
            replace={HoldRegistration: None},
            last=(self,),
            nat={"mappings_outlive_address": True},
        )

    def apply(self, message: SipMessage, context: Context) -> None:
        known = context.remember(self, _First).outside
        if not context.outbound:
            return
        if context.inside not in known and len(known) >= _PHONES:
            del known[next(iter(known))]
        first = known.setdefault(context.inside, context.outside)
        if first != context.outside:
            now, before = str(context.outside).encode(), str(first).encode()
            for each in message.all(b"contact"):
                each.value = each.value.replace(now, before)


MODEL = Model(
    id="stale-mapping",
    card=Card(
        fault_class="state",
        summary=(
            "Translates correctly, but keeps writing the first public port of a phone after the NAT has "
            "given it another."
        ),
        examples=(
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
            Example(
                "state-register-again-later",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
        ),
        rules=(
            "RFC 4787 4.1",
            "RFC 3261 8.1.1.8",
        ),
        symptom=(
            "After a pause, or after the line got a new address, the phone registers a place where "
            "nobody is: calls do not come in until the router is restarted."
        ),
        sources=(
            Source(
                "OPNsense core issue 800: states have to be reset daily for SIP",
                Evidence.USER_REPORT,
                "https://github.com/opnsense/core/issues/800",
            ),
            Source(
                "OpenMPTCProuter issue 801: after a change of the line, phones drop off until a restart",
                Evidence.USER_REPORT,
                "https://github.com/Ysurac/openmptcprouter/issues/801",
            ),
            Source("That it is the ALG, and not the NAT, that keeps the old mapping", Evidence.INFERENCE),
        ),
        shows=(
            Showing("incoming-call(idle=1900)", "rings"),
            Showing("address-change", "rings", topology="wan-renumbered"),
        ),
    ),
    fault=KeepFirst(),
)
