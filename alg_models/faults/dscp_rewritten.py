"""The ALG gives the packets of calls its own DSCP, or clears theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Showing, Source


@dataclass(frozen=True)
class Remark:
    """``dscp``: what SIP gets, and the media that the ALG opened pinholes for; 0 is best effort."""

    dscp: Annotated[int, Ge(0), Le(63)] = 0

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, policy={"dscp": self.dscp})


MODEL = Model(
    id="dscp-rewritten",
    card=Card(
        fault_class="policy",
        summary="Translates correctly, and takes away the mark (DSCP) by which packets of calls go first.",
        examples=(
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
        ),
        rules=("RFC 2474 3", "RFC 4594 4.1"),
        symptom=(
            "Calls are good while nobody else uses the line, and break up as soon as somebody loads "
            "something, although phones and provider have set their priorities."
        ),
        sources=(
            Source(
                "Juniper, VoIP DSCP rewrite rules: the ALG writes the configured DSCP, of six bits, into the "
                "RTP packets of the sessions that it made",
                Evidence.VENDOR_DOCUMENTATION,
                "https://www.juniper.net/documentation/us/en/software/junos/alg/topics/topic-map/"
                "alg-security-voip-dscp-rewrite-rules.html",
            ),
            Source("That it is 0 which is written, and SIP's too", Evidence.INFERENCE),
        ),
        shows=(Showing("marked-call", "keeps its mark"),),
    ),
    fault=Remark(),
    variants=({"dscp": 10},),
)
