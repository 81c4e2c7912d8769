"""The server can't see the NAT, so it sends no keep-alives, and the ALG does not replace them."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.headers import HoldRegistration
from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Showing, Source


@dataclass(frozen=True)
class HideNat:
    """Translate everything, but keep no pinhole for registrations.

    The phone is reachable only until the NAT's binding expires.
    """

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, replace={HoldRegistration: None})


MODEL = Model(
    id="nat-hidden-no-keepalive",
    card=Card(
        fault_class="state",
        summary=(
            "Makes a REGISTER look as if no NAT were there, so that the server sends no keep-alives, "
            "and does not keep the way in open itself."
        ),
        examples=(
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
            Example("state-invite-after-310s", b"INVITE sip:alice@203.0.113.7:61002", None),
        ),
        rules=("RFC 5626 3.5", "RFC 4787 4.3"),
        symptom=(
            "Incoming calls work for a minute or so after the phone has registered or called, and land in "
            "voicemail after that; outgoing calls always work."
        ),
        sources=(
            Source("\"What is SIP ALG?\", 'Lack of incoming calls'", Evidence.SEED),
            Source(
                "OpenSIPS nathelper: pings only contacts that were detected as natted (ping_nated_only)",
                Evidence.VENDOR_DOCUMENTATION,
                "http://opensips.org/html/docs/modules/1.5.x/nathelper.html",
            ),
        ),
        shows=(Showing("incoming-call(idle=70)", "rings", server="hosted"),),
    ),
    fault=HideNat(),
)
