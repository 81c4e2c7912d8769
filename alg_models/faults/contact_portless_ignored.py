"""A Contact without a port is not recognised as the phone's own."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.addresses import translate
from siplab.alg_models.steps.headers import ALL_URIS, URIS_BUT_CONTACT, TranslateUris
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.headers import uris
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class IgnorePortlessContact:
    """Translate Contacts going out only if they have a port."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, replace={TranslateUris: self})

    def apply(self, message: SipMessage, context: Context) -> None:
        if not context.outbound:
            ALL_URIS.apply(message, context)
            return
        URIS_BUT_CONTACT.apply(message, context)
        for field in message.all(b"contact"):
            places = [place for place in reversed(uris(field.value)) if place.port is not None]
            found = [(place, translate(place, context, "uri")) for place in places]
            field.replace_all((place.start, place.end, text) for place, text in found if text is not None)


MODEL = Model(
    id="contact-portless-ignored",
    card=Card(
        fault_class="parsing",
        summary="Translates correctly, but leaves a Contact that names no port private.",
        examples=(
            Example(
                "headers-contact-portless",
                b"Contact: <sip:alice@192.168.1.20>",
                b"Contact: <sip:alice@192.168.1.20>",
            ),
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
        ),
        rules=("RFC 3261 19.1.2", "RFC 3261 8.1.1.8"),
        symptom=(
            "Phones that leave the port out of Contact can't be called, or the provider refuses to register "
            "them; phones that write it work, and providers that go by the source address make up for it."
        ),
        sources=(
            Source(
                "Broadcom BCM963xx kernel, net/netfilter/nf_conntrack_sip.c: "
                "a Contact without explicit port is not rewritten",
                Evidence.SOURCE_CODE,
            ),
            Source(
                "Cisco ASA manual: registration fails with PAT when Contact has no port",
                Evidence.VENDOR_DOCUMENTATION,
            ),
        ),
        shows=(
            Showing(
                "incoming-call", "rings", phone="quirky(quirk=no-contact-port)", server="strict-addresses"
            ),
        ),
    ),
    fault=IgnorePortlessContact(),
)
