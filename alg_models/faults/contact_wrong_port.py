"""Contact gets the public address with the phone's own port."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.addresses import DEFAULT_PORT
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.headers import uris
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class KeepContactPort:
    """Write the inside port beside the public address in Contacts going out.

    When such a Contact comes back, its port is none of the router's, so it stays as it is.
    """

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if not context.outbound:
            return
        for field in message.all(b"contact"):
            edits = []
            for place in reversed(uris(field.value)):
                port = DEFAULT_PORT if place.port is None else place.port
                inside = context.private(Endpoint(place.host.decode("latin-1"), port))
                if inside is not None:
                    edits.append((place.start, place.end, place.host + b":%d" % inside.port))
            field.replace_all(edits)


MODEL = Model(
    id="contact-wrong-port",
    card=Card(
        fault_class="rewriting",
        summary="Translates correctly, but leaves the phone's own port beside the public address in Contact.",
        examples=(
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:5060>",
            ),
        ),
        rules=("RFC 3261 8.1.1.8", "RFC 3261 10.2.1"),
        symptom=(
            "The phone can call but not be called: the provider calls a port that the router has given to "
            "nobody, or to another phone. Providers that call back where the registration came from, and "
            "not what Contact says, notice nothing."
        ),
        sources=(
            Source('"Why SIP ALG is the Hidden VoIP Killer": port mapping confusion', Evidence.SEED),
            Source("That the port kept is the phone's own", Evidence.INFERENCE),
        ),
        shows=(Showing("incoming-call", "rings", server="strict-addresses"),),
    ),
    fault=KeepContactPort(),
)
