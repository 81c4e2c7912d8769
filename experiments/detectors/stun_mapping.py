"""Ask by STUN for the phone's public endpoint on the very flow that SIP uses, and compare the two.

A binding request to the port of SIP and SIP messages to the same port are one flow: a NAT of any kind gives
both one public endpoint. The reflector says where SIP came from, the answer to STUN says where that came
from. If the two differ, or SIP changes its endpoint between messages, or messages name that public endpoint
though the phone never wrote it, something treats SIP specially. Requests to a second port, which a
symmetric NAT may map otherwise, are not compared. What it can't see: an ALG that leaves ports and addresses
alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from siplab.experiments.detectors import comparisons
from siplab.experiments.detectors.probe_runs import (
    binding_request,
    finding_of,
    invite,
    name_of,
    register,
    run_probes,
)
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Finding, Stage
from siplab.lab.media import stun
from siplab.lab.probing.probe_plan import Observations, Probe
from siplab.lab.wire.ip import Endpoint


def _probes(local: Endpoint) -> Sequence[Probe]:
    return [binding_request(), register(local, "200"), invite(local, "486"), binding_request()]


def _disagreement(seen: Observations) -> list[comparisons.Evidence]:
    found: list[comparisons.Evidence] = []
    public: set[Endpoint] = set()
    for each in seen.transits:
        if not each.outbound and each.kind == "STUN response" and each.arrived:
            mapped = next((stun.mapped(each.arrived.payload, mark) for mark in each.marks), None)
            if mapped is not None:
                public.add(mapped)
    for each in seen.transits:
        if not (each.outbound and each.arrived and each.kind in ("REGISTER", "INVITE")):
            continue
        seen_from = each.arrived.near
        if public and seen_from not in public:
            names = ", ".join(str(one) for one in sorted(public))
            found.append((["source port"], f"STUN says {names}, and {name_of(each)} came from {seen_from}"))
        for place in {seen_from, *public} - {seen.local}:
            text = str(place).encode()
            if each.sent and text in each.arrived.payload and text not in each.sent.payload:
                names_ = [name for name in each.changed if name != "Content-Length"]
                found.append((names_, f"{name_of(each)} names {place}, which the phone did not write"))
    return found


@dataclass(frozen=True)
class StunMapping:
    """Compare what STUN and SIP say of one flow."""

    def run(self, stage: Stage) -> Finding:
        seen = run_probes(stage, _probes)
        return finding_of(seen, *comparisons.gather(seen, _disagreement, comparisons.mapping_unstable))


ITEM = Item("stun-mapping", "Compares the mapping that STUN sees with the one that SIP shows.", StunMapping())
