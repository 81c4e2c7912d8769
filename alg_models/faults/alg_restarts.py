"""A message that the ALG can't handle makes the router restart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.wire.ip import TCP
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class Restart:
    """Forget every binding and drop the message, like a router that restarts.

    ``trigger``: a ``long`` message (longer than ``longest`` bytes), any message over ``tcp``, or a ``fold``ed
    header.
    """

    trigger: Literal["long", "tcp", "fold"] = "long"
    longest: Annotated[int, Ge(1)] = 1300

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, first=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        hit = {
            "long": len(bytes(message)) > self.longest,
            "tcp": context.protocol == TCP,
            "fold": any(b"\n " in each.raw or b"\n\t" in each.raw for each in message.fields),
        }
        if hit[self.trigger]:
            context.nat.clear()
            context.memory.clear()
            context.drop("the router restarts")


MODEL = Model(
    id="alg-restarts",
    card=Card(
        fault_class="state",
        summary=(
            "Translates correctly, but restarts at a message of more than 1300 bytes: all mappings are "
            "forgotten."
        ),
        examples=(
            Example("transport-long-line", b"INVITE sip:bob@lab.test", None),
            Example("transport-folded", b"REGISTER sip:lab.test", b"REGISTER sip:lab.test"),
        ),
        rules=(
            "RFC 3261 16.3",
            "RFC 4787 4.3",
        ),
        symptom=(
            "A single long message ends every call of the house, whoever sent it, and nobody is reached "
            "until phones register anew."
        ),
        sources=(
            Source(
                "CVE-2017-2346, Junos: large messages in fragments crash the card that runs the ALG",
                Evidence.VENDOR_DOCUMENTATION,
                "https://raw.githubusercontent.com/CVEProject/cvelistV5/main/cves/2017/2xxx/CVE-2017-2346.json",
            ),
            Source(
                "CVE-2026-21905, Junos: SIP over TCP makes flowd restart; CVE-2018-0476 and "
                "CVE-2010-2831, Cisco IOS: SIP in transit on UDP port 5060 makes the router reload",
                Evidence.VENDOR_DOCUMENTATION,
                "https://raw.githubusercontent.com/CVEProject/cvelistV5/main/cves/2018/0xxx/CVE-2018-0476.json",
            ),
            Source(
                "What exactly triggers it is not public; these triggers are harmless messages in its place",
                Evidence.INFERENCE,
            ),
        ),
    ),
    fault=Restart(),
    variants=({"trigger": "tcp"},),
)
