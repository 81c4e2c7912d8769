"""The private address of a LAN proxy stays in Record-Route."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.headers import LOCATION_HEADERS, TranslateUris
from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Showing, Source


@dataclass(frozen=True)
class IgnoreRecordRoute:
    """Translate every header that has addresses to send to, except Record-Route."""

    def recipe(self) -> Recipe:
        others = tuple(name for name in LOCATION_HEADERS if name != "record-route")
        return Recipe(base=CORRECT_STEPS, replace={TranslateUris: TranslateUris(others)})


MODEL = Model(
    id="record-route-ignored",
    card=Card(
        fault_class="rewriting",
        summary="Translates correctly, but leaves the private address of a proxy in Record-Route.",
        examples=(
            Example(
                "headers-lan-proxy-invite",
                b"Record-Route: <sip:192.168.1.5;lr>",
                b"Record-Route: <sip:192.168.1.5;lr>",
            ),
            Example(
                "headers-lan-proxy-invite",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61004>",
            ),
        ),
        rules=("RFC 3261 12.1.1", "RFC 3261 16.12"),
        symptom=(
            "With a PBX or proxy at home: requests of the far side within a call are sent to a private "
            "address, so that its hang-up is not noticed, and calls from outside drop after 32 s. Phones "
            "without one notice nothing."
        ),
        sources=(
            Source(
                "Linux net/netfilter/nf_conntrack_sip.c and nf_nat_sip.c: Record-Route is never touched",
                Evidence.SOURCE_CODE,
            ),
        ),
        shows=(
            Showing("incoming-call", "stays up", topology="lan-proxy", phone="plain", server="rport-aware"),
        ),
    ),
    fault=IgnoreRecordRoute(),
)
