"""Send RTP from the port that the session description names, and see where it comes from and what was
announced.

After an INVITE the phone sends RTP to the reflector, which sends it back. A NAT gives RTP a public port that
no message knows; so an announced port that is not the phone's own was written by an ALG, and if RTP then
comes from yet another port, one-way audio is certain. RTP that is dropped beside a control packet of the
same size on another port is noticed too. What it can't see: an ALG that leaves descriptions and media alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from siplab.experiments.detectors import comparisons
from siplab.experiments.detectors.probe_runs import finding_of, invite, name_of, rtp, run_probes
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Finding, Stage
from siplab.lab.probing.probe_messages import RTP_PORT
from siplab.lab.probing.probe_plan import Observations, Probe
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sdp import Sdp
from siplab.lab.wire.sip import SipMessage


def _probes(local: Endpoint) -> Sequence[Probe]:
    return [invite(local, "183+sdp"), rtp(RTP_PORT)]


def _announced(payload: bytes) -> Endpoint | None:
    """Address and port of the first stream of a description; ``None`` without one that can be read."""
    ip = ""
    for section in Sdp.parse(SipMessage.parse(payload).body).sections:
        for line in section.lines:
            if line.type == b"c":
                ip = ip or line.raw.split()[-1].decode("latin-1")
        words = section.media.raw.split() if section.media is not None else []
        if len(words) > 1 and words[1].isdigit():
            return Endpoint(ip, int(words[1][:9]))
    return None


def _media(seen: Observations) -> list[comparisons.Evidence]:
    said = heard = source = None
    for each in seen.transits:
        if each.outbound and each.kind == "INVITE" and each.sent and each.arrived:
            said, heard = _announced(each.sent.payload), _announced(each.arrived.payload)
            name = name_of(each)
        elif each.outbound and each.kind == "other" and each.arrived:
            source = each.arrived.near
    if said == heard:
        return []
    found: list[comparisons.Evidence] = [
        (["SDP c=", "SDP m="], f"{name} announces {heard} for RTP, and the phone wrote {said}")
    ]
    if source is not None and heard is not None and source != heard:
        found.append((["RTP port"], f"RTP comes from {source}, and {heard} was announced"))
    return found


@dataclass(frozen=True)
class RtpPort:
    """Compare what was announced with where RTP comes from."""

    def run(self, stage: Stage) -> Finding:
        seen = run_probes(stage, _probes)
        return finding_of(seen, *comparisons.gather(seen, _media, comparisons.kept_back))


ITEM = Item("rtp-port", "Compares the announced RTP port with the one that RTP comes from.", RtpPort())
