"""Over TCP, the ALG expects the end of the headers after Content-Length."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.blindness import shut
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.ip import TCP
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class WantContentLengthLast:
    """Over TCP, leave a message as it is unless Content-Length is its last header field."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, first=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if context.protocol != TCP:
            return
        if not message.fields or message.fields[-1].name != b"content-length":
            shut(message)


MODEL = Model(
    id="tcp-content-length-must-be-last",
    card=Card(
        fault_class="transport",
        summary="Translates correctly, but over TCP only messages whose last header field is Content-Length.",
        examples=(
            Example(
                "transport-tcp-agent-last",
                b"Contact: <sip:alice@192.168.1.20;transport=tcp>",
                b"Contact: <sip:alice@192.168.1.20;transport=tcp>",
            ),
            Example(
                "transport-tcp",
                b"Contact: <sip:alice@192.168.1.20;transport=tcp>",
                b"Contact: <sip:alice@203.0.113.7:61002;transport=tcp>",
            ),
        ),
        rules=("RFC 3261 7.3.1", "RFC 3261 18.3"),
        symptom=(
            "Over TCP one make of phone is translated and another is not, though both send the same headers: "
            "the other has User-Agent behind Content-Length. Calls to it don't arrive."
        ),
        sources=(
            Source(
                "Linux 2.6.38 to 3.x net/netfilter/nf_conntrack_sip.c: the blank line must follow "
                "Content-Length at once",
                Evidence.SOURCE_CODE,
            ),
            Source(
                "TP-Link MT7628 kernel 2.6.36, net/netfilter/nf_conntrack_sip.c: the same",
                Evidence.SOURCE_CODE,
            ),
        ),
        shows=(
            Showing(
                "tcp-call",
                "caller hears in the outgoing call",
                phone="quirky(quirk=trailing-header)",
                server="strict-addresses",
            ),
        ),
    ),
    fault=WantContentLengthLast(),
)
