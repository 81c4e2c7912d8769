"""Start two calls with one RTP port: an ALG that keeps state about media gets into trouble, a NAT does not
look.

Two INVITEs of different calls, from two ports of the phone, announce the same address and port for RTP, as a
phone with early media or a forked call may. An ALG that reserves a port for each, drops the second or gives
both away differently. What it can't see: an ALG that leaves descriptions alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from siplab.experiments.detectors import comparisons
from siplab.experiments.detectors.probe_runs import finding_of, invite, name_of, run_probes
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Finding, Stage
from siplab.lab.probing.probe_plan import Observations, Probe
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sdp import Sdp
from siplab.lab.wire.sip import SipMessage

_SECOND = 5064


def _probes(local: Endpoint) -> Sequence[Probe]:
    return [
        invite(local, "100", "180+sdp", name="INVITE"),
        invite(local, "100", "180+sdp", name="second INVITE", source=_SECOND),
    ]


def _media_changed(seen: Observations) -> list[comparisons.Evidence]:
    found: list[comparisons.Evidence] = []
    for each in seen.transits:
        if not each.outbound or each.sent is None or each.arrived is None:
            continue
        before, after = (_media(datagram.payload) for datagram in (each.sent, each.arrived))
        if before != after:
            found.append((["SDP m="], f"{name_of(each)} announced {before} and arrived with {after}"))
    return found


def _media(payload: bytes) -> str:
    sections = Sdp.parse(SipMessage.parse(payload).body).sections
    lines = [section.media.raw.strip() for section in sections if section.media is not None]
    return "; ".join(line.decode("latin-1") for line in lines) or "nothing"


@dataclass(frozen=True)
class SameRtpPort:
    """Look at the ports of both calls, and at whether both arrive."""

    def run(self, stage: Stage) -> Finding:
        seen = run_probes(stage, _probes)
        return finding_of(
            seen, *comparisons.gather(seen, _media_changed, comparisons.kept_back, comparisons.forged)
        )


ITEM = Item(
    "same-rtp-port",
    "Makes two calls that announce one RTP port, and looks whether something minds.",
    SameRtpPort(),
)
