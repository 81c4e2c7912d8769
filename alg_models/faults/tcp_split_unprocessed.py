"""No reassembly: a message in two TCP segments passes as it is."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Showing, Source


@dataclass(frozen=True)
class PassSplitMessages:
    """Over TCP, translate messages that are whole in one segment; parts of others pass as they are."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, policy={"tcp": "segment"})


MODEL = Model(
    id="tcp-split-unprocessed",
    card=Card(
        fault_class="transport",
        summary="Translates correctly, but over TCP lets messages in several segments pass as they are.",
        examples=(
            Example(
                "transport-tcp-second-half",
                b"Contact: <sip:alice@192.168.1.20;transport=tcp>",
                b"Contact: <sip:alice@192.168.1.20;transport=tcp>",
            ),
            Example(
                "transport-tcp",
                b"Contact: <sip:alice@192.168.1.20;transport=tcp>",
                b"Contact: <sip:alice@203.0.113.7:61002;transport=tcp>",
            ),
        ),
        rules=("RFC 3261 18.3",),
        symptom=(
            "Over TCP some calls have no audio or can't be hung up: those whose INVITE is longer than a "
            "segment, or is sent in two pieces. The same phone's short messages are translated."
        ),
        sources=(
            Source(
                "Linux net/netfilter/nf_conntrack_sip.c: no reassembly, an incomplete message is accepted "
                "unparsed",
                Evidence.SOURCE_CODE,
            ),
        ),
        shows=(
            Showing(
                "tcp-call(framing=split)", "caller hears in the outgoing call", server="strict-addresses"
            ),
        ),
    ),
    fault=PassSplitMessages(),
)
