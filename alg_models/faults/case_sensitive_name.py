"""Header names are compared letter by letter."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.blindness import IDENTIFYING, hide, written_name
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sip import SipMessage


@lru_cache(maxsize=1024)
def _as_the_rfc_writes(name: bytes) -> bytes:
    return b"-".join(word[:1].upper() + word[1:] for word in name.split(b"-"))


@dataclass(frozen=True)
class CompareNamesByCase:
    """Skip header fields unless the name has RFC 3261's letter case, or is a compact form in lower case.

    (Call-ID and CSeq are understood in any case.)
    """

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, first=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        for field in message.fields:
            if not field.name or field.name in IDENTIFYING:
                continue
            name = written_name(field)
            known = name.islower() if len(name) == 1 else name == _as_the_rfc_writes(field.name)
            if not known:
                hide(field)


MODEL = Model(
    id="case-sensitive-name",
    card=Card(
        fault_class="parsing",
        summary="Translates correctly, but knows header names only in the RFC's own upper and lower case.",
        examples=(
            Example(
                "transport-capitals",
                b"CONTACT: <sip:alice@192.168.1.20:5060>",
                b"CONTACT: <sip:alice@192.168.1.20:5060>",
            ),
            Example(
                "transport-capitals",
                b"Via: SIP/2.0/UDP 192.168.1.20:5060;rport",
                b"Via: SIP/2.0/UDP 203.0.113.7:61002;rport",
            ),
        ),
        rules=("RFC 3261 7.3.1",),
        symptom=(
            "One make of phone, which writes CONTACT or via, can't be called or does not register; "
            "all others work."
        ),
        sources=(
            Source(
                "Broadcom BCM963xx kernel, net/netfilter/nf_conntrack_sip.c: "
                "searches for 'Via:' and 'Contact:' with their case",
                Evidence.SOURCE_CODE,
            ),
        ),
        shows=(Showing("register", "registered", phone="quirky(quirk=capitals)", server="strict-addresses"),),
    ),
    fault=CompareNamesByCase(),
)
