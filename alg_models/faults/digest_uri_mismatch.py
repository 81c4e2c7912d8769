"""The Request-URI is changed after the phone has signed it."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.headers import uris
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class RewriteSignedUri:
    """Write the router's public address into the Request-URI of REGISTERs going out.

    It replaces the registrar's address; with ``names`` also a domain name.
    """

    names: bool = False

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if not context.outbound or message.is_response or message.method != b"REGISTER":
            return
        uri = message.request_uri
        for place in uris(uri)[:1]:
            if self.names or place.bare_host == context.remote.ip.encode():
                end = place.start + len(place.host)
                message.request_uri = uri[: place.start] + context.nat.public_ip.encode() + uri[end:]


MODEL = Model(
    id="digest-uri-mismatch",
    card=Card(
        fault_class="rewriting",
        summary=(
            "Translates correctly, but also rewrites the registrar's address in the Request-URI, which the "
            "credentials of the request still name."
        ),
        examples=(
            Example(
                "headers-signed-register", b"REGISTER sip:198.51.100.10 SIP", b"REGISTER sip:203.0.113.7 SIP"
            ),
            Example("headers-signed-register", b'uri="sip:198.51.100.10"', b'uri="sip:198.51.100.10"'),
        ),
        rules=("RFC 3261 16.6", "RFC 3261 22.4", "RFC 7616 3.4.6"),
        symptom=(
            "A phone that knows its registrar by address is challenged again and again, or refused, "
            "although the password is right. Phones that use a domain name register."
        ),
        sources=(
            Source(
                "Linux design note on mapping addresses: authentication fails behind destination NAT",
                Evidence.SOURCE_CODE,
                "https://github.com/ctrliq/kernel-src-tree/commit/1b683b551209ca46ae59b29572018001db5af078",
            ),
            Source(
                "Cisco feature document htsmpwos ('MD5'), about the same problem",
                Evidence.VENDOR_DOCUMENTATION,
            ),
            Source("That it is the Request-URI of REGISTER, and the public address", Evidence.INFERENCE),
        ),
        shows=(
            Showing("register(registrar=address)", "registered", phone="plain", server="rport-aware"),
            Showing("register", "registered", phone="plain", server="rport-aware", variant={"names": True}),
        ),
    ),
    fault=RewriteSignedUri(),
    variants=({"names": True},),
)
