"""Messages whose session description has a host name instead of an address are dropped."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Literal

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.descriptions import described
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sdp import address_of
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class DropHostName:
    """Drop messages whose session description has a host name instead of an address.

    ``line``: ``origin`` looks at o=, in both directions; ``connection`` at every c= of messages going out.
    """

    line: Literal["origin", "connection"] = "origin"

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if self.line == "connection" and not context.outbound:
            return
        sdp = described(message)
        if sdp is None:
            return
        kind = b"o" if self.line == "origin" else b"c"
        for section in sdp.sections:
            for line in section.lines:
                address = address_of(line) if line.type == kind else b""
                if address and not _is_literal(address):
                    context.drop("a host name in a session description")


def _is_literal(address: bytes) -> bool:
    try:
        ipaddress.ip_address(address.decode("latin-1"))
    except ValueError:
        return False
    return True


MODEL = Model(
    id="fqdn-origin-drop",
    card=Card(
        fault_class="parsing",
        summary="Drops a message whose session description has a host name in o=.",
        examples=(
            Example("media-named-origin", b"o=- 1 1 IN IP4 pc.example.org", None),
            Example("media-named-connection", b"c=IN IP4 pc.example.org", b"c=IN IP4 pc.example.org"),
        ),
        rules=("RFC 8866 5.2",),
        symptom=(
            "A phone that writes its name instead of its address into o= registers but can't call; calls "
            "from providers that do so never ring."
        ),
        sources=(
            Source(
                "Linux 4.18 net/netfilter/nf_nat_sip.c: no address in o= means that the packet is dropped",
                Evidence.SOURCE_CODE,
            ),
            Source(
                "Broadcom BCM963xx kernel, net/netfilter/nf_conntrack_sip.c: the same for c=",
                Evidence.SOURCE_CODE,
            ),
            Source("That legal host names meet it", Evidence.INFERENCE),
        ),
        shows=(Showing("outgoing-call", "rings", phone="quirky(quirk=named-origin)"),),
    ),
    fault=DropHostName(),
    variants=({"line": "connection"},),
)
