"""Two clients' calls with the same Call-ID are taken for one call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

_CALLS: Final = 4096  # entries; messages make them, so there must be a bound


@dataclass
class _Owners:
    calls: dict[bytes, Endpoint] = field(default_factory=dict)


@dataclass(frozen=True)
class OneOwner:
    """Drop messages with a Call-ID that another client has used first.

    Only the part before ``@`` is compared; if phones make it short, two are soon equal.
    """

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, first=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        owners = context.remember(self, _Owners).calls
        call = message.value(b"call-id").partition(b"@")[0]
        if context.outbound and call not in owners:
            if len(owners) >= _CALLS:
                del owners[next(iter(owners))]
            owners[call] = context.inside
        if owners.get(call, context.inside) != context.inside:
            context.drop("a Call-ID that is another client's")


MODEL = Model(
    id="call-id-collision",
    card=Card(
        fault_class="state",
        summary="Translates correctly, but takes calls of two clients with equal Call-IDs for one call.",
        examples=(
            Example("state-same-call-id", b"INVITE sip:bob@lab.test", None),
            Example("invite", b"INVITE sip:bob@lab.test", b"INVITE sip:bob@lab.test"),
        ),
        rules=(
            "RFC 3261 8.1.1.4",
            "RFC 4787 4.1",
        ),
        symptom=(
            "The second of two phones that number their calls alike can not call while the first one does."
        ),
        sources=(
            Source(
                "Cisco, SIP ALG Hardening for NAT and Firewall, IOS XE 3S: the database is keyed by "
                "Call-ID, and two clients that choose the same one collide",
                Evidence.VENDOR_DOCUMENTATION,
                "https://cisco.com/c/en/us/td/docs/ios-xml/ios/ipaddr_nat/configuration/xe-3s/nat-xe-3s-book/iadnat-fw-sip-alg-hardng.html",
            ),
        ),
        shows=(Showing("two-customers(alike=true)", "second customer registered", topology="shared-box"),),
    ),
    fault=OneOwner(),
)
