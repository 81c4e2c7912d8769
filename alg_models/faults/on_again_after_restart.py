"""The ALG was switched off, but a restart of the router switches it on again."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.faults.blind_ip_replace import ReplaceAddressText
from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Showing, Source


@dataclass(frozen=True)
class OnAgain:
    """No ALG until the router restarts; from then on an ALG that replaces the text of addresses."""

    def recipe(self) -> Recipe:
        return Recipe(restarted=ReplaceAddressText().recipe())


MODEL = Model(
    id="on-again-after-restart",
    card=Card(
        fault_class="policy",
        summary="Its ALG is switched off, and is on again as soon as the router has been restarted.",
        examples=(
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@192.168.1.20:5060>",
            ),
            Example(
                "state-register-restarted",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:5060>",
            ),
        ),
        rules=("RFC 3261 12.2.2", "RFC 3261 18.1.2"),
        symptom=(
            "All was well since the ALG was switched off. After a power cut the old troubles are back, and "
            "nobody has touched the settings."
        ),
        sources=(
            Source(
                "OneCloud support: on many routers the ALG is on again after a reset or a loss of power",
                Evidence.USER_REPORT,
                "https://support.onecloud.com/",
            ),
            Source("What the ALG does that comes back", Evidence.INFERENCE),
        ),
        shows=(Showing("router-reboot", "still registered", phone="plain", server="rport-aware"),),
    ),
    fault=OnAgain(),
)
