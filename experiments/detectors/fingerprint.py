"""Look for the marks of a proxy that nobody asked for.

A proxy adds a Via and counts Max-Forwards down (RFC 3261 section 16.6), and a message that was taken apart
and written anew has other spacing, spelling or order of its headers. The client addresses the server itself,
so the server should see one Via, the client's hop count and its way of writing. What it can't see: an
ALG that edits messages in their place, and a proxy that the client was told to use is none of its business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from siplab.experiments.detectors.probe_runs import finding_of, invite, name_of, odd, register, run_probes
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Finding, Stage
from siplab.lab.probing.probe_plan import Probe
from siplab.lab.wire.headers import split_list
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage


def marks_of_a_proxy(sent: bytes, arrived: bytes) -> list[str]:
    """The marks of a proxy in ``arrived`` that ``sent`` did not have."""
    before, after = SipMessage.parse(sent), SipMessage.parse(arrived)
    found: list[str] = []
    if _hops(after) > _hops(before):
        found.append("an extra Via")
    if after.value(b"max-forwards") != before.value(b"max-forwards"):
        found.append(f"Max-Forwards {after.value(b'max-forwards').decode('latin-1')}")
    names = [field.raw.partition(b":")[0] for field in before.fields if field.name != b"via"]
    others = [field.raw.partition(b":")[0] for field in after.fields if field.name != b"via"]
    if names != others:
        if sorted(names) == sorted(others):
            found.append("another order of headers")
        elif sorted(each.lower() for each in names) == sorted(each.lower() for each in others):
            found.append("another spelling of headers")
        else:
            found.append("other headers")
    lengths = [_gap(message) for message in (before, after)]
    if lengths[0] != lengths[1]:
        found.append("other spacing")
    return found


def _hops(message: SipMessage) -> int:
    return sum(len(split_list(field.value)) for field in message.all(b"via"))


def _gap(message: SipMessage) -> bytes:
    field = message.get(b"content-length")
    return b"" if field is None else field.raw[: field.value_offset]


def _probes(local: Endpoint) -> Sequence[Probe]:
    return [register(local, "200"), invite(local, "486"), odd(local, "486")]


@dataclass(frozen=True)
class Fingerprint:
    """Compare how requests are written before and after."""

    def run(self, stage: Stage) -> Finding:
        seen = run_probes(stage, _probes)
        changed: list[str] = []
        evidence: list[str] = []
        for transit, names in seen.changed:
            if transit.outbound and transit.sent and transit.arrived:
                found = marks_of_a_proxy(transit.sent.payload, transit.arrived.payload)
                if found:
                    changed += [
                        name for name in names if name.startswith(("Via", "Max", "order", "Content-L"))
                    ]
                    evidence.append(f"{name_of(transit)} shows {', '.join(found)}")
        return finding_of(seen, changed, evidence)


ITEM = Item("fingerprint", "Looks for a proxy's marks: Via, Max-Forwards, order and spacing.", Fingerprint())
