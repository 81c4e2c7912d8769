"""Compare the Content-Length of what arrives with its body, and with what was sent.

Whoever rewrites an address in a session description changes its size, and then either corrects
Content-Length or forgets to. The receiver alone notices the second; the first needs the sender's number
beside it. What it can't see: an ALG whose addresses happen to be equally long, and any that leaves bodies
alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from siplab.experiments.detectors.probe_runs import finding_of, in_dialog, invite, name_of, run_probes
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Finding, Stage
from siplab.lab.counting import number_of
from siplab.lab.probing.probe_plan import Probe
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage


def _probes(local: Endpoint) -> Sequence[Probe]:
    return [
        invite(local, "183+sdp", "200+sdp"),
        in_dialog(local, b"ACK", 1),
        in_dialog(local, b"BYE", 2, "200"),
    ]


@dataclass(frozen=True)
class ContentLength:
    """Look at both ends of a call's messages with a body."""

    def run(self, stage: Stage) -> Finding:
        seen = run_probes(stage, _probes)
        evidence: list[str] = []
        for each in seen.transits:
            if each.arrived is None:
                continue
            message = SipMessage.parse(each.arrived.payload)
            length = message.content_length
            told = "no length" if length is None else number_of(length, "byte")
            if message.is_sip and length != len(message.body):
                evidence.append(f"{name_of(each)} says {told} and brings {len(message.body)}")
            elif each.sent and SipMessage.parse(each.sent.payload).content_length != length:
                evidence.append(f"{name_of(each)} says {told}, and was sent with another number")
        return finding_of(seen, ["Content-Length"] * bool(evidence), evidence)


ITEM = Item(
    "content-length", "Compares Content-Length with the body and with what was sent.", ContentLength()
)
