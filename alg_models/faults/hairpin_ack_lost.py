"""Hairpinning loses an ACK from one inside phone to another's public endpoint; other packets pass."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Showing, Source


@dataclass(frozen=True)
class LoseHairpinnedAck:
    """No ALG. The router drops an ACK instead of hairpinning it, as a request outside any transaction."""

    def recipe(self) -> Recipe:
        return Recipe(policy={"hairpin_loses": frozenset({"ACK"})})


MODEL = Model(
    id="hairpin-ack-lost",
    card=Card(
        fault_class="state",
        summary="No ALG, and a NAT that loses the ACK of one inside phone to another's public endpoint.",
        examples=(
            Example("state-hairpin-ack", b"ACK sip:alice@203.0.113.7", None),
            # An ACK to the outside passes.
            Example("state-ack", b"ACK sip:bob@198.51.100.20:5060", b"ACK sip:bob@198.51.100.20:5060"),
        ),
        rules=("RFC 4787 6", "RFC 3261 13.3.1.4"),
        symptom=(
            "Calls between two phones of one house ring, both sides hear each other, and after 32 s the call "
            "drops; calls to others do not."
        ),
        sources=(
            Source(
                "Flexisip issue 162: calls drop after 30 s for want of an ACK, in the local network only",
                Evidence.USER_REPORT,
                "https://github.com/BelledonneCommunications/flexisip/issues/162",
            ),
            Source("That the ACK was lost where it turns round", Evidence.INFERENCE),
        ),
        shows=(
            Showing(
                "direct-call",
                "stays up",
                topology="two-phones(filtering=endpoint-independent)",
                phone="stun",
                server="rport-aware",
            ),
        ),
    ),
    fault=LoseHairpinnedAck(),
)
