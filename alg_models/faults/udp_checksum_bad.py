"""The message changes, but its UDP checksum does not."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Source


@dataclass(frozen=True)
class KeepOldChecksum:
    """Leave the UDP checksum of a translated message as the sender computed it."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, policy={"checksum": "stale"})


MODEL = Model(
    id="udp-checksum-bad",
    card=Card(
        fault_class="transport",
        summary="Translates messages correctly, but sends them with the UDP checksum of the original.",
        examples=(
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
        ),
        rules=("RFC 768", "RFC 1122 4.1.3.4", "RFC 3022 4.2"),
        symptom=(
            "Nothing works, and a capture at the server shows every message arriving: the kernel there drops "
            "them before the server sees them. Messages that need no translation pass."
        ),
        sources=(Source("Follows from editing a payload without its checksum", Evidence.INFERENCE),),
    ),
    fault=KeepOldChecksum(),
)
