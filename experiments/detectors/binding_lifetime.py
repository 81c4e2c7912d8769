"""Measure how long a binding stays open on the port of SIP, and on another port beside it.

Flows are opened to both ports, by the same messages, and the reflector sends one message through each after a
silence of its own: 20, 45, 90, 150 and 320 s. A NAT closes all bindings alike; one that stays open longer
(or closes sooner) on the port of SIP has timers of its own for SIP, as an ALG that holds registrations has.
Of each silence three copies are sent, so that a lost one does not count. A short binding on both ports is
the NAT's, and no reason to accuse anybody. What it can't see: an ALG without timers of its own. The silence
costs no time in the lab's virtual worlds; on a real network it takes six minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from siplab.experiments.detectors.probe_runs import finding_of, run_probes
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Finding, Stage
from siplab.lab.probing.probe_messages import request
from siplab.lab.probing.probe_plan import OTHER, Probe
from siplab.lab.wire.ip import Endpoint

SILENCES: Final = (20, 45, 90, 150, 320)  # seconds
_COPIES: Final = (0, 1, 2)  # seconds after each
_FIRST: Final = 5100


def _probes(local: Endpoint) -> Sequence[Probe]:
    probes: list[Probe] = []
    for number, silence in enumerate(SILENCES):
        for side, port in enumerate((0, OTHER)):
            own = Endpoint(local.ip, _FIRST + 4 * number + 2 * side)
            orders = ("200", *(f"@{silence + extra} OPTIONS" for extra in _COPIES))
            probes.append(
                Probe(
                    f"{silence} s",
                    lambda mark, answers, sent, own=own: request(b"REGISTER", mark, own),  # type: ignore[misc]
                    orders,
                    1,
                    port=port,
                    source=own.port,
                )
            )
    return probes


@dataclass(frozen=True)
class BindingLifetime:
    """Compare the silences after which each port still lets the reflector in."""

    def run(self, stage: Stage) -> Finding:
        seen = run_probes(stage, _probes, rest=SILENCES[-1] + _COPIES[-1] + 5.0, rounds=0)
        reached: dict[int, dict[int, bool]] = {}
        for each in seen.transits:
            owner = seen.owner(each)
            if each.outbound or not owner or each.kind != "OPTIONS" or each.sent is None:
                continue
            probe = seen.probes[owner]
            row = reached.setdefault(int(probe.name.split()[0]), {})
            row[each.sent.port] = row.get(each.sent.port, False) or each.arrived is not None
        evidence = [
            f"after {silence} s the phone is {_be(row[seen.site.port])} on port {seen.site.port}, "
            f"and {_be(row[seen.site.other])} on {seen.site.other}"
            for silence, row in sorted(reached.items())
            if len(row) == 2 and row[seen.site.port] != row[seen.site.other]
        ]
        compared = sum(len(row) == 2 for row in reached.values())
        if not evidence and compared == len(SILENCES):
            ended = [silence for silence, row in sorted(reached.items()) if not row[seen.site.other]]
            detail = (
                f"bindings end within {ended[0]} s" if ended else f"bindings live {SILENCES[-1]} s and more"
            )
            return Finding("clean", detail=f"{detail} on both ports")
        return finding_of(seen, ["binding lifetime"] * bool(evidence), evidence)


def _be(reached: bool) -> str:
    return "reached" if reached else "not reached"


ITEM = Item(
    "binding-lifetime", "Compares how long bindings live on port 5060 and on another.", BindingLifetime()
)
