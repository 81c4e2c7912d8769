"""The ALG writes the router's outside address into messages where the router translates nothing."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class ActWithoutNat:
    """Between routed networks, replace the phone's address by the outside address in Contact and SDP.

    Ports stay. IPv6 is left alone.
    """

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if context.nat.config.translates or not context.outbound or ":" in context.inside.ip:
            return
        own, written = context.inside.ip.encode(), context.nat.public_ip.encode()
        for each in message.all(b"contact"):
            each.value = each.value.replace(own, written)
        if own in message.body:
            message.body = message.body.replace(own, written)
            message.fit_content_length()


MODEL = Model(
    id="acts-without-nat",
    card=Card(
        fault_class="rewriting",
        summary=(
            "Translates correctly where there is NAT, and writes the router's address into messages between "
            "networks that are only routed, too."
        ),
        examples=(
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
            Example(
                "routed-register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:5060>",
            ),
            Example("routed-invite", b"c=IN IP4 192.168.1.20", b"c=IN IP4 203.0.113.7"),
        ),
        rules=("RFC 3261 8.1.1.8", "RFC 3264 5.1"),
        symptom=(
            "Between two offices of a company, without any NAT, phones are not called and sound goes one "
            "way, until the firewall's SIP detection is off."
        ),
        sources=(
            Source(
                "Forum reports of 2026 on a Huawei USG6630: phones and PBX on routed networks without NAT "
                "fail until SIP detection is off",
                Evidence.USER_REPORT,
            ),
            Source("That it is its own address which the firewall writes", Evidence.INFERENCE),
        ),
        shows=(Showing("incoming-call", "rings", topology="routed", server="strict-addresses"),),
    ),
    fault=ActWithoutNat(),
)
