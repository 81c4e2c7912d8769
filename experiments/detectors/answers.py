"""Compare answers, and requests towards the phone, with the copies that the server hands over.

A reflector in the registrar's place answers a registration and a call, calls back, and sends requests of
other methods; on another port it hands over, compressed, what it sent. Any difference to what arrived
means that something on the way back rewrote it, and so does a message that it never sent. It sees what a
mirror of requests is blind to. What it can't see: what becomes of the client's own requests, and answers that
only some other request would bring.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from siplab.experiments.detectors import comparisons
from siplab.experiments.detectors.probe_runs import finding_of, in_dialog, invite, plain, register, run_probes
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Finding, Stage
from siplab.lab.probing.probe_plan import Probe
from siplab.lab.wire.ip import Endpoint


def _probes(local: Endpoint) -> Sequence[Probe]:
    return [
        register(local, "401"),
        register(local, "200"),
        invite(local, "100", "180", "183+sdp", "200+sdp"),
        in_dialog(local, b"ACK", 1),
        in_dialog(local, b"INFO", 2, "200", "in:UPDATE+sdp"),
        in_dialog(local, b"BYE", 3, "200"),
        plain(local, b"MESSAGE", "200", "INVITE+sdp", expects=4),
        plain(local, b"OPTIONS", "200", "OPTIONS", "NOTIFY"),
    ]


@dataclass(frozen=True)
class Answers:
    """Look at what comes back, and at nothing else."""

    def run(self, stage: Stage) -> Finding:
        seen = run_probes(stage, _probes)
        wanted = (comparisons.answers_changed, comparisons.forged, comparisons.misdelivered)
        return finding_of(seen, *comparisons.gather(seen, *wanted))


ITEM = Item("answers", "Compares answers and incoming requests with copies of what was sent.", Answers())
