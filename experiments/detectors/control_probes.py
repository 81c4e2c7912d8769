"""Send what is hardly SIP, or none at all, to the port of SIP: a private method, keep-alives, STUN.

A router that only translates packets lets all of it pass. One that parses SIP may drop methods that it does
not know and packets that are no messages (RFC 5626's CRLF keep-alives, STUN). Each is repeated until a twin
on another port has come through often enough to rule out loss. What it can't see: an ALG that rewrites
messages and lets everything pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from siplab.experiments.detectors import comparisons
from siplab.experiments.detectors.probe_runs import binding_request, finding_of, keepalive, plain, run_probes
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Finding, Stage
from siplab.lab.probing.probe_plan import Probe
from siplab.lab.wire.ip import Endpoint


def _probes(local: Endpoint) -> Sequence[Probe]:
    return [
        plain(local, b"OPTIONS", "200"),
        plain(local, b"PROBE", "200", "PROBE"),
        plain(local, b"NOTIFY", "200"),
        keepalive(),
        binding_request(),
    ]


@dataclass(frozen=True)
class ControlProbes:
    """Count what does not get through, and what is answered by somebody else."""

    def run(self, stage: Stage) -> Finding:
        seen = run_probes(stage, _probes)
        return finding_of(
            seen,
            *comparisons.gather(seen, comparisons.kept_back, comparisons.forged, comparisons.misdelivered),
        )


ITEM = Item(
    "control-probes",
    "Unknown methods, keep-alives and STUN on the port of SIP: looks whether they pass.",
    ControlProbes(),
)
