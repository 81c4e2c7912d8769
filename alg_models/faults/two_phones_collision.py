"""The ALG remembers one phone only: the last one that registers gets the calls of the others."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class KeepOnePhone:
    """Of the phones that use the same port, deliver requests from outside to the one that registered last.

    ``responses``: answers go there too.
    """

    responses: bool = False

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, first=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        latest: dict[int, Endpoint] = context.remember(self, dict)  # by inside port: 65535 at most
        if context.outbound:
            if not message.is_response and message.method == b"REGISTER":
                latest[context.inside.port] = context.inside
        elif self.responses or not message.is_response:
            phone = latest.get(context.inside.port)
            if phone is not None and phone != context.inside:
                context.deliver_elsewhere(phone)


MODEL = Model(
    id="two-phones-collision",
    card=Card(
        fault_class="state",
        summary=(
            "Has one entry for all phones on one local port: requests for any of them are "
            "delivered to the one that registered last."
        ),
        examples=(
            # The payload is the first phone's; the packet goes to the second phone, 192.168.1.21.
            Example(
                "state-second-phone",
                b"INVITE sip:alice@203.0.113.7:61002",
                b"INVITE sip:alice@192.168.1.20:5060",
            ),
        ),
        rules=("RFC 4787 4.1",),
        symptom=(
            "With two phones in the house the wrong one rings, or none does: only the phone that registered "
            "last gets calls. Different local ports help."
        ),
        sources=(
            Source(
                "ZyXEL: only one SIP server on the private side",
                Evidence.VENDOR_DOCUMENTATION,
            ),
            Source(
                "Cisco IOS XE: equal Call-IDs of two clients collide",
                Evidence.VENDOR_DOCUMENTATION,
                "https://cisco.com/c/en/us/td/docs/ios-xml/ios/ipaddr_nat/configuration/xe-3s/"
                "nat-xe-3s-book/iadnat-fw-sip-alg-hardng.html",
            ),
            Source("That two phones collide on their port", Evidence.INFERENCE),
        ),
        shows=(Showing("fork", "first phone rings", topology="two-phones"),),
    ),
    fault=KeepOnePhone(),
    variants=({"responses": True},),
)
