"""Keep-alives (two line ends) are no SIP messages, so the ALG drops them."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Showing, Source


@dataclass(frozen=True)
class SwallowKeepalives:
    """Drop UDP packets on the SIP port that are not SIP messages. They do not refresh bindings either.

    ``translate``: translate messages and hold registrations as the correct ALG does. Without
    it the router only filters, and only the traffic that passes refreshes bindings.
    """

    translate: bool = False

    def recipe(self) -> Recipe:
        if self.translate:
            return Recipe(base=CORRECT_STEPS, policy={"non_sip": "drop"})
        return Recipe(policy={"non_sip": "drop", "transports": frozenset({"udp"})})


MODEL = Model(
    id="keepalive-crlf-swallowed",
    card=Card(
        fault_class="policy",
        summary="Drops every UDP packet on port 5060 that is not SIP, keep-alives (CRLF, STUN) too.",
        examples=(
            Example("state-keepalive", b"\r\n\r\n", None),
            Example("state-stun-keepalive", b"\x21\x12\xa4\x42", None),
        ),
        rules=("RFC 5626 3.5.2", "RFC 5626 4.4.2", "RFC 3261 7.5"),
        symptom=(
            "Incoming calls stop a minute or so after the registration although the phone sends keep-alives. "
            "A phone that waits for answers to them (by STUN) takes its flow for dead and registers "
            "again and again."
        ),
        sources=(
            Source(
                "SonicWall: 'Permit non-SIP packets on signaling port' is off by default",
                Evidence.VENDOR_DOCUMENTATION,
                "http://help.sonicwall.com/help/sw/eng/9620/25/9/0/content/Ch82_VoIP.094.19.html",
            ),
            Source("That CRLF keep-alives are among these packets", Evidence.INFERENCE),
        ),
        shows=(Showing("incoming-call(idle=70)", "rings", phone="modern"),),
    ),
    fault=SwallowKeepalives(),
    variants=({"translate": True},),
)
