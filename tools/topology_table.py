"""``python -m tools.topology_table``: write what works on which network into docs/topologies.md.

The endpoints are the strict ones, which do nothing about NAT themselves. ``--check`` writes nothing and exits
with 1 if the page is out of date. If a call fails without a known reason, the command ends with an error: the
network is wrong, or the lab is.
"""

from __future__ import annotations

import sys
from typing import Final, NamedTuple

from siplab import topologies
from siplab.experiments.trial.pairs import STRICT
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from tools import trials
from tools.pages import DOCS, MadePart

PAGE: Final = DOCS / "topologies.md"
MODELS: Final = ("none", "correct")
LATE: Final = "incoming-call(idle=70)"
SCENARIOS: Final = ("register", "outgoing-call", "incoming-call", LATE)


class Reason(NamedTuple):
    """Why a scenario is expected to fail, by the RFCs: with a model, on these networks (none: on all)."""

    model: str
    scenarios: tuple[str, ...]
    networks: tuple[str, ...]
    text: str


_NO_SIP: Final = "A firewall lets nothing out to port 5060: the phone reaches nobody."
_NO_MEDIA: Final = "The router's firewall lets no media in, whatever NAT and ALG do: the sound goes one way."
REASONS: Final = (
    Reason("none", SCENARIOS, ("firewall-no-sip", "carrier-no-sip"), _NO_SIP),
    Reason("correct", SCENARIOS, ("firewall-no-sip", "carrier-no-sip"), _NO_SIP),
    Reason("none", ("outgoing-call", "incoming-call"), ("firewall-no-media",), _NO_MEDIA),
    Reason("correct", ("outgoing-call", "incoming-call", LATE), ("firewall-no-media",), _NO_MEDIA),
    Reason(
        "none",
        SCENARIOS,
        ("lan-proxy",),
        "The proxy in the home does not ask for rport. So answers go to the port in its Via, and the NAT "
        "gave it another port.",
    ),
    Reason(
        "none",
        ("incoming-call", LATE),
        ("short-timers",),
        "The binding of the SIP port ends after 15 s without SIP from the inside, and nobody refreshes it: "
        "15 s into a call the caller's BYE can't get in, later nothing can.",
    ),
    Reason(
        "none",
        ("outgoing-call", "incoming-call"),
        ("two-sites",),
        "Both phones are behind NAT. Each announces its private address for media. Without an ALG, a relay "
        "or ICE, neither can send to that address.",
    ),
    Reason(
        "correct",
        ("outgoing-call", "incoming-call", LATE),
        ("two-sites",),
        "As before for the far site, whose router has no ALG; with `--model correct,far-router=correct` "
        "these calls work.",
    ),
    Reason(
        "correct",
        (LATE,),
        ("double-nat",),
        "The ALG keeps its pinhole in the inner router open. The outer router has no ALG, and its binding "
        "ended 60 s after the registration.",
    ),
    Reason(
        "correct",
        (LATE,),
        ("lan-proxy",),
        "The ALG keeps the pinhole for the address in Contact open, which is the phone's. The provider "
        "sends calls to where the REGISTER came from: to the proxy, whose binding ended after 60 s.",
    ),
    Reason(
        "none",
        (LATE,),
        (),
        "The NAT's binding ended 60 s after the registration; the phone sends no keep-alive (RFC 5626), so "
        "the INVITE can't get in.",
    ),
)


def table() -> str:
    """The table in Markdown, with its notes below. Raises ``SystemExit`` for a failure without a reason."""
    used: list[Reason] = []
    rows = []
    for name in topologies.available():
        cells = [_cell(name, model, scenario, used) for model in MODELS for scenario in SCENARIOS]
        rows.append(f"| `{name}` | {' | '.join(cells)} |")
    heads = [f"`{scenario}`, {model}" for model in MODELS for scenario in SCENARIOS]
    notes = [f"{number}. {reason.text}" for number, reason in enumerate(used, 1)]
    return "\n".join(
        [f"| topology | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|", *rows, "", *notes, ""]
    )


def _cell(name: str, model: str, scenario: str, used: list[Reason]) -> str:
    try:
        result = trials.result(TrialSpec(name, model, scenario).between(STRICT))
    except UsageError:
        return "–"  # the network has no router for a model
    if result.outcome == "pass":
        return "yes"
    found = reason(name, model, scenario)
    if result.outcome == "error" or found is None:
        why = result.errors or result.first_failure
        raise SystemExit(f"{name}, {model}, {scenario}: {result.outcome} without a known reason: {why}")
    if found not in used:
        used.append(found)
    return f"no ({used.index(found) + 1})"


def reason(name: str, model: str, scenario: str) -> Reason | None:
    """Why a scenario is expected to fail there; ``None`` if it is not."""
    for each in REASONS:
        if (
            each.model == model
            and scenario in each.scenarios
            and (not each.networks or name in each.networks)
        ):
            return each
    return None


PART: Final = MadePart(PAGE, "topology_table", lambda: table())
updated = PART.updated


if __name__ == "__main__":
    sys.exit(PART.main())
