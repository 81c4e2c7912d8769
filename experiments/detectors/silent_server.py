"""Send requests to a server that never answers: whoever answers is something on the way.

The reflector keeps silent about these probes. Any SIP answer was made by a middlebox, and so was a request
that comes out of nowhere. What it can't see: an ALG that passes messages on, changed or not, and one that
drops them (silence is what is expected here).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from siplab.experiments.detectors import comparisons
from siplab.experiments.detectors.probe_runs import invite, plain, run_probes
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Finding, Stage
from siplab.lab.probing.probe_messages import request
from siplab.lab.probing.probe_plan import Probe
from siplab.lab.wire.ip import Endpoint


def _probes(local: Endpoint) -> Sequence[Probe]:
    quiet = Probe("REGISTER", lambda mark, answers, sent: request(b"REGISTER", mark, local))
    return [quiet, plain(local, b"OPTIONS"), invite(local), invite(local, name="long INVITE", filler=900)]


@dataclass(frozen=True)
class SilentServer:
    """Wait for an answer that nobody should give."""

    def run(self, stage: Stage) -> Finding:
        seen = run_probes(stage, _probes)
        changed, evidence = comparisons.gather(seen, comparisons.forged)
        if evidence:
            return Finding("alg", tuple(dict.fromkeys(changed)), evidence[0], (), tuple(evidence))
        if not seen.complete:
            return Finding("undecided", detail="the reflector can't be reached on its control port")
        return Finding("clean")


ITEM = Item(
    "silent-server", "Sends requests to a server that keeps silent, and looks who answers.", SilentServer()
)
