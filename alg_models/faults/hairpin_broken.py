"""The router drops what an inside host sends to its public address."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Showing, Source


@dataclass(frozen=True)
class NoHairpin:
    """Drop packets from one inside host to another's public endpoint; messages are left alone."""

    def recipe(self) -> Recipe:
        return Recipe(nat={"hairpinning": False})


MODEL = Model(
    id="hairpin-broken",
    card=Card(
        fault_class="state",
        summary="No ALG, and a NAT that drops what inside hosts send to its own public address.",
        examples=(
            Example("invite", b"m=audio 49170 RTP/AVP 0", b"m=audio 49170 RTP/AVP 0"),
            # The second phone's RTP to the public endpoint of the first.
            Example("state-hairpin-rtp", b"speech", None),
        ),
        rules=("RFC 4787 6",),
        symptom=(
            "Two phones in one house that know their public addresses (by STUN, or from the server) reach "
            "each other, but neither hears anything. Calls to the outside are fine."
        ),
        sources=(
            Source(
                "Linux net/netfilter/nf_conntrack_sip.c and TP-Link MT7628 kernel: special code for calls "
                "that turn round in the router",
                Evidence.SOURCE_CODE,
            ),
            Source("What routers without such code do", Evidence.INFERENCE),
        ),
        shows=(
            Showing(
                "two-phones",
                "callee hears in the call between them",
                topology="two-phones",
                phone="stun",
                server="rport-aware",
            ),
        ),
    ),
    fault=NoHairpin(),
)
