"""The ALG ends a host at the first colon, or writes IPv6 addresses without brackets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.headers import LOCATION_HEADERS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.headers import HostPort, sent_bys, uris
from siplab.lab.wire.sip import Field, SipMessage

_URI_HEADERS: Final = frozenset(name.encode() for name in LOCATION_HEADERS)


@dataclass(frozen=True)
class MangleIpv6References:
    """Rewrite the IPv6 addresses in Via, Contact and route headers of messages going out, wrongly.

    ``how``: the ``brackets`` around the address are lost, or the address and its port are ``cut`` at the
    first colon.
    """

    how: Literal["brackets", "cut"] = "brackets"

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if not context.outbound:
            return
        for field in message.fields:
            if b"[" not in field.raw:
                continue
            if field.name == b"via":
                self._mangle(field, [place for place, _ in sent_bys(field.value)])
            elif field.name in _URI_HEADERS:
                self._mangle(field, uris(field.value))

    def _mangle(self, field: Field, places: list[HostPort]) -> None:
        edits = []
        for place in places:
            if place.host[:1] != b"[":
                continue
            if self.how == "cut":
                edits.append((place.start, place.end, place.host.partition(b":")[0]))
            else:
                edits.append((place.start, place.start + len(place.host), place.bare_host))
        field.replace_all(edits)


MODEL = Model(
    id="ipv6-literal-mangled",
    card=Card(
        fault_class="parsing",
        summary="Translates IPv4 correctly, but takes the brackets off IPv6 addresses going out.",
        examples=(
            Example(
                "transport-ipv6-contact",
                b"Contact: <sip:alice@[2001:db8::20]:5060>",
                b"Contact: <sip:alice@2001:db8::20:5060>",
            ),
            Example(
                "transport-ipv6",
                b"Via: SIP/2.0/UDP [2001:db8::20]:5060;rport",
                b"Via: SIP/2.0/UDP 2001:db8::20:5060;rport",
            ),
        ),
        rules=("RFC 3261 25.1", "RFC 5118 4.2"),
        symptom=(
            "The server refuses the messages of IPv6 and dual-stack phones with 400 Bad Request or keeps a "
            "binding that nobody can reach. IPv4 works."
        ),
        sources=(
            Source(
                "Linux 2.6.38 to 3.x net/netfilter/nf_conntrack_sip.c: reads IPv6 addresses without brackets",
                Evidence.SOURCE_CODE,
            ),
            Source("That they are written like that, or cut at a colon", Evidence.INFERENCE),
        ),
        shows=(Showing("register", "registered", topology="ipv6"),),
    ),
    fault=MangleIpv6References(),
    variants=({"how": "cut"},),
)
