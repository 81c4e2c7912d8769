"""Addresses in From and To are changed on the way out and never changed back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.addresses import DEFAULT_PORT, written
from siplab.alg_models.steps.headers import TranslateIdentity
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.headers import uris
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

_IDENTITY: Final = frozenset({b"from", b"to"})


@dataclass(frozen=True)
class RewriteIdentityOutbound:
    """Replace inside addresses in From and To by the public address and port, going out only."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, replace={TranslateIdentity: self})

    def apply(self, message: SipMessage, context: Context) -> None:
        if not context.outbound:
            return
        for field in message.fields:
            if field.name not in _IDENTITY:
                continue
            edits = []
            for place in reversed(uris(field.value)):
                port = DEFAULT_PORT if place.port is None else place.port
                public = context.public(Endpoint(place.bare_host.decode("latin-1"), port))
                if public is not None and public.ip.encode() != place.bare_host:
                    edits.append((place.start, place.end, written(public)))
            field.replace_all(edits)


MODEL = Model(
    id="fromto-rewrite-asymmetric",
    card=Card(
        fault_class="rewriting",
        summary="Translates correctly, but does not restore the addresses that it changed in From and To.",
        examples=(
            Example(
                "headers-address-invite",
                b"From: <sip:alice@192.168.1.20>;tag=3",
                b"From: <sip:alice@203.0.113.7:61002>;tag=3",
            ),
            Example(
                "headers-address-ok",
                b"From: <sip:alice@203.0.113.7:61002>;tag=3",
                b"From: <sip:alice@203.0.113.7:61002>;tag=3",
            ),
        ),
        rules=("RFC 3261 8.2.6.2", "RFC 3261 12.2.1.1"),
        symptom=(
            "Phones without an account, that call by address, take answers for somebody else's when they "
            "compare From in full (RFC 2543); caller id shows the router's address. Phones with a domain "
            "notice nothing."
        ),
        sources=(
            Source(
                "Linux design note on the symmetric mapping of From and To: without it authentication whose "
                "domain is an address fails",
                Evidence.SOURCE_CODE,
                "https://github.com/ctrliq/kernel-src-tree/commit/1b683b551209ca46ae59b29572018001db5af078",
            ),
            Source(
                "Junos documentation, table of headers: From is translated in requests going out and "
                "restored in answers coming in",
                Evidence.VENDOR_DOCUMENTATION,
            ),
            Source("That the way back is forgotten", Evidence.INFERENCE),
        ),
        shows=(
            Showing(
                "outgoing-call(account=false)", "answered", phone="desk(response_match=[branch,method,from])"
            ),
        ),
    ),
    fault=RewriteIdentityOutbound(),
)
