"""Every request gets a new public port."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.wire.headers import vias
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

_LIMIT: Final = 4096  # entries; messages make them, so there must be a bound


@dataclass(frozen=True)
class RemapEachRequest:
    """Give the phone another public port with each new request that it sends by UDP.

    A request of a known transaction (a retransmission, CANCEL, the ACK of a refusal) changes nothing.
    """

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, first=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if not context.outbound or message.is_response:
            return
        top = vias(message.value(b"via"))[:1]
        branch = top[0].branch if top else b""
        seen: dict[tuple[Endpoint, bytes | None], None] = context.remember(self, dict)
        if (context.inside, branch) in seen:
            return
        before = (context.inside, None)  # the key that says: this phone has sent a request
        known = before in seen
        seen.pop(before, None)
        while len(seen) >= _LIMIT - 1:
            del seen[next(iter(seen))]
        seen[context.inside, branch] = seen[before] = None
        if known:
            context.renew_mapping()


MODEL = Model(
    id="mapping-not-stable",
    card=Card(
        fault_class="state",
        summary="Gives the phone another public port with every request that it sends.",
        examples=(
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
            Example(
                "state-invite-after-register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61004>",
            ),
        ),
        rules=("RFC 4787 4.1",),
        symptom=(
            "A server that ties a registration or its authentication to the address it came from refuses "
            "calls or asks for the password again and again; the phone shows up under many ports, "
            "and calls to the older ones stop reaching it."
        ),
        sources=(
            Source(
                "SonicWall: without Consistent NAT the port may change with every request",
                Evidence.VENDOR_DOCUMENTATION,
                "http://help.sonicwall.com/help/sw/eng/9620/25/9/0/content/Ch82_VoIP.094.19.html",
            ),
            Source(
                "PJSIP: 'Immediate binding remapping of SIP address'",
                Evidence.USER_REPORT,
                "https://trac.pjsip.org/repos/wiki/NAT_Routers_Issues?version=3",
            ),
        ),
    ),
    fault=RemapEachRequest(),
)
