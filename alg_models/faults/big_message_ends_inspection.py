"""After a message that is too long for the ALG, it never inspects that flow again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final

from annotated_types import Ge

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

_FLOWS: Final = 4096  # entries; packets make them, so there must be a bound


@dataclass
class _Lost:
    flows: dict[tuple[Endpoint, Endpoint], None] = field(default_factory=dict)


@dataclass(frozen=True)
class GiveUpFlow:
    """Translate nothing in a flow from its first message on that is longer than ``longest`` bytes."""

    longest: Annotated[int, Ge(1)] = 1000

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, exemptions=(self,))

    def exempts(self, message: SipMessage, context: Context) -> bool:
        flows = context.remember(self, _Lost).flows
        flow = (context.inside, context.remote)
        if flow not in flows and len(bytes(message)) > self.longest:
            if len(flows) >= _FLOWS:
                del flows[next(iter(flows))]
            flows[flow] = None
        return flow in flows


MODEL = Model(
    id="big-message-ends-inspection",
    card=Card(
        fault_class="state",
        summary=(
            "Translates correctly until a message is longer than 1000 bytes, and nothing of that flow "
            "from then on."
        ),
        examples=(
            Example(
                "transport-long-line",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@192.168.1.20:5060>",
            ),
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
        ),
        rules=(
            "RFC 3261 18.1.1",
            "RFC 3261 8.1.1.8",
        ),
        symptom=(
            "Everything works until the first long message; then nothing does any more, short ones "
            "neither, until the flow ends."
        ),
        sources=(
            Source(
                "Junos 12.1X46 release notes: a message over 9 KB is not handed to the ALG, and later "
                "packets of the session pass it by",
                Evidence.VENDOR_DOCUMENTATION,
                "https://juniper.net/documentation/en_US/junos12.1x46/information-products/topic-collections/release-notes/12.1x46/topic-82930.html",
            ),
            Source("The length, which is lower here so that phones reach it", Evidence.INFERENCE),
        ),
        shows=(Showing("large-invite", "rings", server="strict-addresses"),),
    ),
    fault=GiveUpFlow(),
)
