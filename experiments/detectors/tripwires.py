"""Put the phone's address where no ALG has any business, and see whether it is rewritten there.

The Call-ID ends in the phone's address and a header of no meaning (``X-Local``) holds it: a rewriting of
these tells the blunt kind of ALG, which replaces the text of an address wherever it stands. What it can't
see: an ALG that knows its way about a message, or one that only drops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from siplab.experiments.detectors.probe_runs import finding_of, invite, name_of, odd, register, run_probes
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Finding, Stage
from siplab.lab.probing.probe_plan import Probe
from siplab.lab.wire.ip import Endpoint

WIRES: Final = ("Call-ID", "X-Local", "X-Source", "X-Via")


def _probes(local: Endpoint) -> Sequence[Probe]:
    return [register(local, "200"), invite(local, "486"), odd(local, "486")]


@dataclass(frozen=True)
class Tripwires:
    """Look at these headers and at no others, both ways (a Call-ID may be changed in an answer alone)."""

    def run(self, stage: Stage) -> Finding:
        seen = run_probes(stage, _probes)
        changed: list[str] = []
        evidence: list[str] = []
        for transit, names in seen.changed:
            tripped = [name for name in names if name in WIRES]
            changed += tripped
            if tripped:
                evidence.append(
                    f"{name_of(transit)}: {', '.join(tripped)} rewritten, where no ALG has any business"
                )
        return finding_of(seen, changed, evidence)


ITEM = Item("tripwires", "Puts the address into Call-ID and a private header, as bait.", Tripwires())
