"""The ALG translates the addresses of a session description, but not the media ports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from annotated_types import Ge, Le

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.descriptions import translated
from siplab.alg_models.steps.media import TranslateSdp
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sip import SipMessage

_LIMIT: Final = 4096  # entries; messages make them, so there must be a bound


@dataclass(frozen=True)
class LeaveMediaPorts:
    """Leave the ports of m= lines going out as the phone wrote them, although their public ports differ.

    ``probability``: the share of calls to which this happens, from 0 to 1.
    """

    probability: Annotated[float, Ge(0), Le(1)] = 1.0

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, replace={TranslateSdp: self})

    def apply(self, message: SipMessage, context: Context) -> None:
        found = translated(message, context)
        if found is None or not context.outbound or not self._happens(message, context):
            return
        before, after = found
        for old, new in zip(before.media, after.media, strict=True):
            new.media = old.media
        message.body = bytes(after)

    def _happens(self, message: SipMessage, context: Context) -> bool:
        """Whether the fault happens to this message's call; it affects all messages of a call or none."""
        if self.probability >= 1:
            return True
        drawn: dict[bytes, bool] = context.remember(self, dict)
        call = message.value(b"call-id")
        if call not in drawn:
            if len(drawn) >= _LIMIT:
                del drawn[next(iter(drawn))]
            drawn[call] = context.rng.random() < self.probability
        return drawn[call]


MODEL = Model(
    id="sdp-c-only",
    card=Card(
        fault_class="rewriting",
        summary="Translates o= and c= of a session description, but leaves the ports of m= as they are.",
        examples=(
            Example("invite", b"c=IN IP4 192.168.1.20", b"c=IN IP4 203.0.113.7"),
            Example("invite", b"m=audio 49170 RTP/AVP 0", b"m=audio 49170 RTP/AVP 0"),
            Example("incoming-ok", b"m=audio 49170 RTP/AVP 0", b"m=audio 49170 RTP/AVP 0"),
        ),
        rules=("RFC 3264 5.1", "RFC 8866 5.14"),
        symptom=(
            "The far side's voice goes to a public port that nobody holds, and is not heard, unless the far "
            "side sends to where the phone's own voice comes from or the router happens to keep ports."
        ),
        sources=(
            Source('"Why SIP ALG is the Hidden VoIP Killer": port mapping confusion', Evidence.SEED),
            Source("That it is the media ports which stay", Evidence.INFERENCE),
        ),
        shows=(Showing("outgoing-call", "caller hears", server="strict-addresses"),),
    ),
    fault=LeaveMediaPorts(),
)
