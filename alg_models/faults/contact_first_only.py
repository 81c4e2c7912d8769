"""Only the first Contact of a message is translated."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.addresses import translate
from siplab.alg_models.steps.headers import ALL_URIS, URIS_BUT_CONTACT, TranslateUris
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.headers import uris
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class TranslateFirstContact:
    """Translate the first value of the first Contact line going out, and no other."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, replace={TranslateUris: self})

    def apply(self, message: SipMessage, context: Context) -> None:
        if not context.outbound:
            ALL_URIS.apply(message, context)
            return
        URIS_BUT_CONTACT.apply(message, context)
        field = message.get(b"contact")
        if field is None:
            return
        for place in uris(field.value)[:1]:
            text = translate(place, context, "uri")
            if text is not None:
                field.replace(place.start, place.end, text)


MODEL = Model(
    id="contact-first-only",
    card=Card(
        fault_class="rewriting",
        summary="Translates correctly, but of several Contacts only the first; the others stay private.",
        examples=(
            Example(
                "headers-contact-several",
                b"Contact: <sip:alice@192.168.1.20:5060>;q=1, <sip:alice@192.168.1.21:5060>;q=0.5",
                b"Contact: <sip:alice@203.0.113.7:61002>;q=1, <sip:alice@192.168.1.21:5060>;q=0.5",
            ),
            Example(
                "headers-contact-several",
                b"Contact: <sip:alice@192.168.1.20:5062>;q=0.1",
                b"Contact: <sip:alice@192.168.1.20:5062>;q=0.1",
            ),
        ),
        rules=("RFC 3261 7.3.1", "RFC 3261 10.2.1"),
        symptom="Of several phones or lines that are registered together only the first can be called.",
        sources=(
            Source(
                "Broadcom BCM963xx kernel, net/netfilter/nf_conntrack_sip.c: "
                "only the first Contact is handled",
                Evidence.SOURCE_CODE,
            ),
        ),
        shows=(
            Showing(
                "incoming-call", "rings", phone="quirky(quirk=second-contact)", server="strict-addresses"
            ),
        ),
    ),
    fault=TranslateFirstContact(),
)
