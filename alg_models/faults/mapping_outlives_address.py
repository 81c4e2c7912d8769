"""The NAT keeps its mappings when the line gets another public address, and sends from the old one."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Showing, Source


@dataclass(frozen=True)
class KeepMappings:
    """As long as traffic keeps a binding alive, it keeps the public address that it was made with."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, nat={"mappings_outlive_address": True})


MODEL = Model(
    id="mapping-outlives-address",
    card=Card(
        fault_class="state",
        summary=(
            "Translates correctly, until the line gets another public address: flows that are kept alive are "
            "still sent from the old one."
        ),
        examples=(
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
            # The phone registered, then the line got a new address: the refresh still has the old one.
            Example(
                "state-register-renewed",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
        ),
        rules=("RFC 4787 4.1", "RFC 3261 8.1.1.8"),
        symptom=(
            "After the line was renewed, all phones are off at once, and stay so however often they try, for "
            "trying keeps the mapping alive; a restart of the router, or some minutes without power to the "
            "phones, cures it."
        ),
        sources=(
            Source(
                "OPNsense core issue 4652: UDP states of SIP clients are not flushed when the address of a "
                "PPPoE line changes; REGISTER is not answered any more",
                Evidence.USER_REPORT,
                "https://github.com/opnsense/core/issues/4652",
            ),
        ),
        shows=(Showing("address-change", "still registered", topology="wan-renumbered"),),
    ),
    fault=KeepMappings(),
)
