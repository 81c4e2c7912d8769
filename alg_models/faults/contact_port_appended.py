"""A Contact that went out without a port comes back with one."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.addresses import DEFAULT_PORT, written
from siplab.alg_models.steps.headers import ALL_URIS, URIS_BUT_CONTACT, TranslateUris
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.headers import uris
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class AppendContactPort:
    """Restore Contacts coming in with address and port, even if the phone wrote no port."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, replace={TranslateUris: self})

    def apply(self, message: SipMessage, context: Context) -> None:
        if context.outbound:
            ALL_URIS.apply(message, context)
            return
        URIS_BUT_CONTACT.apply(message, context)
        public = context.nat.public_ip
        for field in message.all(b"contact"):
            edits = []
            for place in reversed(uris(field.value)):
                if place.host != public.encode():
                    continue
                port = DEFAULT_PORT if place.port is None else place.port
                inside = context.private(Endpoint(public, port))
                if inside is not None:
                    edits.append((place.start, place.end, written(inside)))
            field.replace_all(edits)


MODEL = Model(
    id="contact-port-appended",
    card=Card(
        fault_class="rewriting",
        summary="Translates correctly, but restores a Contact with a port that the phone never wrote.",
        examples=(
            Example(
                "headers-contact-portless",
                b"Contact: <sip:alice@192.168.1.20>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
            Example(
                "headers-contact-portless-ok",
                b"Contact: <sip:alice@203.0.113.7:61002>",
                b"Contact: <sip:alice@192.168.1.20:5060>",
            ),
        ),
        rules=("RFC 3261 10.2.4", "RFC 3261 19.1.4"),
        symptom=(
            "A phone that leaves the port out and compares strictly does not find its own registration in "
            "the answer: it registers over and over, or says that it is not registered."
        ),
        sources=(
            Source(
                "Linux 4.18 net/netfilter/nf_nat_sip.c: what is written is always address and port",
                Evidence.SOURCE_CODE,
            ),
        ),
        shows=(Showing("register", "registered", phone="quirky(quirk=no-contact-port,strict=true)"),),
    ),
    fault=AppendContactPort(),
)
