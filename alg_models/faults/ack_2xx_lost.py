"""The ACK of an answered call is lost. (This ACK is outside the INVITE's transaction.)"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from annotated_types import Ge, Le

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.wire.headers import cseq
from siplab.lab.wire.sip import SipMessage

_LIMIT: Final = 4096  # entries; messages make them, so there must be a bound


@dataclass(frozen=True)
class LoseAck:
    """Drop the ACK of a 2xx to INVITE. The ACK of a refusal, which is part of the transaction, passes.

    ``direction``: of the ACKs that are lost. ``probability``: how often, from 0 to 1.
    """

    direction: Literal["both", "outbound", "inbound"] = "both"
    probability: Annotated[float, Ge(0), Le(1)] = 1.0

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, first=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        read = cseq(message.value(b"cseq"))
        if read is None:
            return
        number, method = read
        accepted: dict[tuple[bytes, int], None] = context.remember(self, dict)
        key = (message.value(b"call-id"), number)
        if message.is_response:
            if method == b"INVITE" and 200 <= (message.status or 0) < 300:
                if len(accepted) >= _LIMIT:
                    del accepted[next(iter(accepted))]
                accepted[key] = None
        elif message.method == b"ACK" and key in accepted:
            if self.direction == ("inbound" if context.outbound else "outbound"):
                return
            if self.probability >= 1 or context.rng.random() < self.probability:
                context.drop("an ACK of no known transaction")


MODEL = Model(
    id="ack-2xx-lost",
    card=Card(
        fault_class="state",
        summary="Translates correctly, but loses the ACK of an answered call.",
        examples=(Example("state-ack", b"ACK sip:bob@198.51.100.20:5060 SIP/2.0", None),),
        rules=("RFC 3261 13.2.2.4", "RFC 3261 13.3.1.4"),
        symptom="Calls are set up, both sides hear each other, and after 32 s the call drops.",
        sources=(
            Source("A dev.to blog post on calls that drop after 30 to 32 s", Evidence.USER_REPORT),
            Source("That the ALG itself loses the ACK, not a wrong Contact or Route", Evidence.INFERENCE),
        ),
    ),
    fault=LoseAck(),
    variants=({"direction": "outbound"}, {"direction": "inbound"}),
)
