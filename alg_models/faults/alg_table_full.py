"""The table of calls fills up, and then everybody's SIP is dropped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Le

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sip import SipMessage


@dataclass
class _Table:
    calls: dict[bytes, None] = field(default_factory=dict)


@dataclass(frozen=True)
class FillTable:
    """Each Call-ID takes an entry and never frees it. With ``entries`` entries the table is full.

    ``then``: messages without an entry are dropped (``refuse``) or pass untranslated (``pass``).
    """

    entries: Annotated[int, Ge(1), Le(65536)] = 3
    then: Literal["refuse", "pass"] = "refuse"

    def recipe(self) -> Recipe:
        if self.then == "refuse":
            return Recipe(base=CORRECT_STEPS, first=(self,))
        return Recipe(base=CORRECT_STEPS, exemptions=(self,))

    def exempts(self, message: SipMessage, context: Context) -> bool:
        calls = context.remember(self, _Table).calls
        call = message.value(b"call-id")
        if call not in calls and len(calls) < self.entries:
            calls[call] = None
        return call not in calls

    def apply(self, message: SipMessage, context: Context) -> None:
        if self.exempts(message, context):
            context.drop("the table of calls is full")


MODEL = Model(
    id="alg-table-full",
    card=Card(
        fault_class="state",
        summary=(
            "Translates correctly until three Call-IDs were seen; what belongs to no earlier one is "
            "dropped from then on."
        ),
        examples=(
            Example("state-fourth-call", b"REGISTER sip:lab.test SIP/2.0", None),
            Example("register", b"REGISTER sip:lab.test SIP/2.0", b"REGISTER sip:lab.test SIP/2.0"),
        ),
        rules=(
            "RFC 3261 16.3",
            "RFC 4787 11",
        ),
        symptom=(
            "It works for days; then nobody registers or calls any more, whichever phone, until the "
            "router is restarted."
        ),
        sources=(
            Source(
                "CVE-2022-22204, Junos: a certain packet leaves a stale call entry; the table fills, and "
                "all SIP is refused",
                Evidence.VENDOR_DOCUMENTATION,
                "https://raw.githubusercontent.com/CVEProject/cvelistV5/main/cves/2022/22xxx/CVE-2022-22204.json",
            ),
            Source("How few entries there are here, so that a call shows it", Evidence.INFERENCE),
        ),
        shows=(
            # One customer has filled the table, and another one suffers.
            Showing(
                "two-customers", "second customer registered", topology="shared-box", variant={"entries": 5}
            ),
            Showing("long-uptime", "registers every time"),
        ),
    ),
    fault=FillTable(),
    variants=({"then": "pass"},),
)
