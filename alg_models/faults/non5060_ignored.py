"""A packet is SIP only when it is addressed to port 5060."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Source


@dataclass(frozen=True)
class WellKnownPortOnly:
    """Look only at SIP on port 5060.

    ``match``: which port must be 5060. ``destination``: the destination port of a UDP packet, so that
    answers to another public port pass as they are. ``server``: the server's port, in both directions, so
    that only SIP with other server ports passes as it is, as with the correct ALG of this catalogue.
    """

    match: Literal["destination", "server"] = "destination"

    def recipe(self) -> Recipe:
        policy = {"match": "destination" if self.match == "destination" else "peer"}
        return Recipe(base=CORRECT_STEPS, policy={"ports": frozenset({5060}), **policy})


MODEL = Model(
    id="non5060-ignored",
    card=Card(
        fault_class="policy",
        summary=(
            "Takes a packet for SIP only when it is addressed to port 5060: other server ports pass as they "
            "are, and so do answers to a public port that is not 5060."
        ),
        examples=(
            Example(
                "state-register-at-5080",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@192.168.1.20:5060>",
            ),
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
            Example(
                "register-ok",
                b"Contact: <sip:alice@203.0.113.7:61002>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
        ),
        rules=("RFC 3261 18.1.2",),
        symptom=(
            "Where the NAT does not keep port 5060, registration fails: the answer's Via is not the phone's. "
            "With the server on another port everything is as without an ALG, which is why providers "
            "recommend one."
        ),
        sources=(
            Source(
                "Linux net/netfilter/nf_conntrack_sip.c: the helper is bound to a list of ports, 5060 by "
                "default",
                Evidence.SOURCE_CODE,
            ),
            Source("FusionPBX documentation: move SIP to another port", Evidence.VENDOR_DOCUMENTATION),
            Source("DrayTek: the ALG has a listen port", Evidence.VENDOR_DOCUMENTATION),
            Source("That only the destination port is compared", Evidence.INFERENCE),
        ),
    ),
    fault=WellKnownPortOnly(),
    variants=({"match": "server"},),
)
