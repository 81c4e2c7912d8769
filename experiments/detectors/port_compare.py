"""Send the same to the port of SIP and to another port, and see whether both fare alike.

Most ALGs look at port 5060 only. A registration, a call and a private method go to both ports of a reflector;
whatever changes, vanishes or is forged on the one port and not on the other is the ALG's doing, since a NAT
does not ask what is inside. It also tells loss from filtering. What it can't see: an ALG that looks at both
ports alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from siplab.experiments.detectors import comparisons
from siplab.experiments.detectors.probe_runs import finding_of, invite, name_of, plain, register, run_probes
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Finding, Stage
from siplab.lab.probing.observation import Transit
from siplab.lab.probing.probe_plan import OTHER, Observations, Probe
from siplab.lab.wire.ip import Endpoint


def _probes(local: Endpoint) -> Sequence[Probe]:
    # A port that carries probes of its own is not the one that twins go to: a comparison tells those.
    rows = [register(local, "200"), invite(local, "100", "486"), plain(local, b"PROBE", "200")]
    other = [
        register(local, "200", port=OTHER),
        invite(local, "100", "486", port=OTHER),
        plain(local, b"PROBE", "200", port=OTHER),
    ]
    return [*rows, *other]


def _fate(seen: Observations, transit: Transit) -> tuple[str, ...]:
    if transit.arrived is None:
        return ("dropped",)
    if transit.sent is None:
        return ("forged",) if seen.owner(transit) else ()
    return tuple(transit.changed)


@dataclass(frozen=True)
class PortCompare:
    """Compare fates by kind of message, with as many copies of what is missing as a lossy line needs."""

    def run(self, stage: Stage) -> Finding:
        seen = run_probes(stage, _probes)
        fates: dict[tuple[bool, str], dict[int, tuple[str, ...]]] = {}
        for each in seen.transits:
            datagram = each.sent or each.arrived
            if datagram is not None and seen.owner(each):
                fates.setdefault((each.outbound, name_of(each)), {})[datagram.port] = _fate(seen, each)
        changed: list[str] = []
        evidence: list[str] = []
        gone = {name_of(each) for each in seen.missing if seen.is_gone(each)}
        for (_, name), by_port in fates.items():
            here, there = by_port.get(seen.site.port, ()), by_port.get(seen.site.other, ())
            differ = [each for each in here if each not in there]
            if "dropped" in differ and name not in gone:
                differ.remove("dropped")
            if differ:
                changed += differ
                evidence.append(
                    f"{name}: {', '.join(differ)} on port {seen.site.port}, and not on {seen.site.other}"
                )
        extra, more = comparisons.gather(seen, comparisons.misdelivered)
        return finding_of(seen, changed + extra, evidence + more)


ITEM = Item("port-compare", "Sends the same to port 5060 and to another port, and compares.", PortCompare())
