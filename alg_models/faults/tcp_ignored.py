"""An ALG for UDP alone."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Showing, Source


@dataclass(frozen=True)
class IgnoreTcp:
    """Look at SIP over UDP only."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, policy={"transports": frozenset({"udp"})})


MODEL = Model(
    id="tcp-ignored",
    card=Card(
        fault_class="transport",
        summary="Translates correctly over UDP, and leaves SIP over TCP alone.",
        examples=(
            Example(
                "transport-tcp",
                b"Contact: <sip:alice@192.168.1.20;transport=tcp>",
                b"Contact: <sip:alice@192.168.1.20;transport=tcp>",
            ),
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
        ),
        rules=("RFC 3261 18",),
        symptom=(
            "Phones that rely on the ALG can't be called over TCP. For phones that cope with NAT "
            "themselves it is a cure: over TCP nothing is rewritten."
        ),
        sources=(
            Source(
                "Broadcom BCM963xx kernel, net/netfilter/nf_conntrack_sip.c: registers for UDP only",
                Evidence.SOURCE_CODE,
            ),
        ),
        shows=(Showing("tcp-call", "caller hears in the outgoing call", server="strict-addresses"),),
    ),
    fault=IgnoreTcp(),
)
