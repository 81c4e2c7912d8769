"""The other side's Contact is replaced by the router's own address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.addresses import DEFAULT_PORT, written
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.wire.headers import uris
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

# In these responses a Contact is no remote target: it says whom to try instead.
_REDIRECTION: Final = range(300, 400)


@dataclass(frozen=True)
class ClobberRemoteContact:
    """Write the router's inside address and port 5060 into Contacts coming in, except in REGISTER and 3xx.

    A router that is a proxy on the path would accept the requests that then come to it. This
    one does not.
    """

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if context.outbound or not context.router:
            return
        if message.method == b"REGISTER" or message.status in _REDIRECTION:
            return
        own = written(Endpoint(context.router, DEFAULT_PORT))
        for field in message.all(b"contact"):
            field.replace_all(
                (place.start, place.end, own)
                for place in uris(field.value)
                if not context.is_inside(place.bare_host.decode("latin-1"))
            )


MODEL = Model(
    id="contact-inbound-clobbered",
    card=Card(
        fault_class="rewriting",
        summary="Translates correctly, but puts its own inside address in the place of the peer's Contact.",
        examples=(
            Example(
                "invite-ok",
                b"Contact: <sip:bob@198.51.100.20:5060>",
                b"Contact: <sip:bob@192.168.1.1:5060>",
            ),
            Example(
                "incoming-invite",
                b"Contact: <sip:bob@198.51.100.20:5060>",
                b"Contact: <sip:bob@192.168.1.1:5060>",
            ),
        ),
        rules=("RFC 3261 12.1.2", "RFC 3261 16.6"),
        symptom=(
            "ACK, BYE and transfers go to the router, which has no use for them: answered calls drop after "
            "32 s, and hanging up is not noticed."
        ),
        sources=(Source("An ALG of the proxy type that keeps no state of calls", Evidence.INFERENCE),),
    ),
    fault=ClobberRemoteContact(),
)
