"""The ALG reads addresses only: a host name in Contact stays, and requests to that name are dropped."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.headers import parse_uri
from siplab.lab.wire.ip import is_address
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class WantAddresses:
    """Drop a request from outside whose Request-URI has a host name instead of an address.

    No ALG can translate a name that only the home network knows, so a Contact with such a name leaves as it
    is. A registrar that reaches the phone all the same calls it by that name.
    """

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, first=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        uri = parse_uri(message.request_uri) if not context.outbound and message.is_request else None
        if uri is not None and not is_address(uri.bare_host.decode("latin-1")):
            context.drop(f"the Request-URI names {uri.host.decode('latin-1')}, which is no address")


MODEL = Model(
    id="fqdn-contact-ignored",
    card=Card(
        fault_class="parsing",
        summary="Leaves a Contact with a host name as it is, and refuses calls that come back for that name.",
        examples=(
            Example("names-register", b"Contact: <sip:alice@pbx.lan>", b"Contact: <sip:alice@pbx.lan>"),
            Example("names-invite", b"INVITE sip:alice@pbx.lan SIP/2.0", None),
        ),
        rules=("RFC 3261 8.1.1.8", "RFC 3261 19.1.1"),
        symptom="A PBX that registers by its name can call, but nobody can call it.",
        sources=(
            Source(
                "Linux net/netfilter/nf_conntrack_sip.c: a host name never matches and stays untouched",
                Evidence.SOURCE_CODE,
            ),
            Source(
                "Junos SIP ALG: URIs of requests from outside must hold addresses",
                Evidence.VENDOR_DOCUMENTATION,
            ),
            Source("That a request with a name is dropped rather than passed", Evidence.INFERENCE),
        ),
        shows=(Showing("incoming-call", "rings", phone="quirky(quirk=named-contact)", server="rport-aware"),),
    ),
    fault=WantAddresses(),
)
