"""The router replaces its own address in any payload, as four bytes."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class RewriteBinary:
    """In datagrams coming in, replace the four bytes of the public address by those of the inside address.

    Only on the ports of SIP and STUN. SIP does not change, since its addresses are text.
    """

    def recipe(self) -> Recipe:
        return Recipe(last=(self,), policy={"non_sip": "inspect", "ports": frozenset({5060, 3478})})

    def apply(self, message: SipMessage, context: Context) -> None:
        if context.outbound or context.binding is None:
            return
        public, inside = (ipaddress.IPv4Address(each.ip).packed for each in (context.outside, context.inside))
        data = bytes(message)
        if public in data:
            message.become(data.replace(public, inside))


MODEL = Model(
    id="binary-address-rewrite",
    card=Card(
        fault_class="rewriting",
        summary=(
            "No ALG for SIP; but exchanges the four bytes of its address in whatever comes in, STUN answers "
            "above all."
        ),
        examples=(
            Example(
                "state-stun-answer",
                b"\x00\x01\x00\x08\x00\x01\xeeJ\xcb\x00q\x07",
                b"\x00\x01\x00\x08\x00\x01\xeeJ\xc0\xa8\x01\x14",
            ),
        ),
        rules=("RFC 8489 14.2",),
        symptom=(
            "Phones that ask a STUN server by the old attribute are told their inside address, and put "
            "it into messages."
        ),
        sources=(
            Source(
                "RFC 8489 section 14.2: XOR-MAPPED-ADDRESS exists since NATs rewrite binary addresses "
                "that look like theirs",
                Evidence.VENDOR_DOCUMENTATION,
                "https://www.rfc-editor.org/rfc/rfc8489#section-14.2",
            ),
            Source("That it looks at certain ports", Evidence.INFERENCE),
        ),
        shows=(Showing("old-stun", "rings", phone="plain", server="strict-addresses"),),
    ),
    fault=RewriteBinary(),
)
