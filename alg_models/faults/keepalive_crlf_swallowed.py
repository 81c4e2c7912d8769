"""Keep-alives of two line ends are no SIP messages, so they are dropped."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Showing, Source


@dataclass(frozen=True)
class SwallowKeepalives:
    """Drop UDP packets on the port of SIP that are not SIP messages; they refresh no binding either.

    ``translate``: messages are translated, and registrations held, as by the correct ALG. Without
    it the router is only a filter, and bindings live by the traffic that passes.
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
