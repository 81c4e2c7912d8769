"""Tell the server the phone's address in a form that no router recognises, and let the server decide.

Each request carries ``X-Source: 192*168*1*102#5060``. Whoever receives it compares that with the addresses
in Via, Contact, Call-ID and the session description, which the client wrote alike: the server needs to know
nothing else of the client. What it can't see: changes to anything but addresses, to answers, and to requests
towards the phone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from siplab.experiments.detectors.probe_runs import finding_of, invite, name_of, register, run_probes
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Finding, Stage
from siplab.lab.probing.probe_messages import clear
from siplab.lab.probing.probe_plan import Probe
from siplab.lab.wire import headers
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sdp import Sdp
from siplab.lab.wire.sip import SipMessage


def verdict(payload: bytes) -> list[str]:
    """The server's part: names of the fields that hold another address than the client's own."""
    message = SipMessage.parse(payload)
    true = clear(message.value(b"x-source"))
    if true is None:
        return ["X-Source"]
    ip, port = true.ip.encode(), true.port
    found: list[str] = []
    via = headers.vias(message.value(b"via"))
    if not via or (via[0].sent_by.bare_host, via[0].sent_by.port) != (ip, port):
        found.append("Via")
    for place in headers.uris(message.value(b"contact")):
        if (place.bare_host, place.port) != (ip, port):
            found.append("Contact")
    if not message.value(b"call-id").endswith(b"@" + ip):
        found.append("Call-ID")
    for section in Sdp.parse(message.body).sections:
        for line in section.lines:
            if line.type in (b"o", b"c") and not line.raw.rstrip().endswith(b" " + ip):
                found.append(f"SDP {line.type.decode()}=")
    return list(dict.fromkeys(found))


def _probes(local: Endpoint) -> Sequence[Probe]:
    return [register(local, "200"), invite(local, "486")]


@dataclass(frozen=True)
class ObfuscatedSource:
    """Have the reflector itself look at a registration and a call."""

    def run(self, stage: Stage) -> Finding:
        seen = run_probes(stage, _probes)
        changed: list[str] = []
        evidence: list[str] = []
        for each in seen.transits:
            names = verdict(each.arrived.payload) if each.outbound and each.arrived else []
            changed += names
            if names:
                evidence.append(f"{name_of(each)} names another source in {', '.join(names)}")
        return finding_of(seen, changed, evidence)


ITEM = Item(
    "obfuscated-source",
    "The server compares addresses with a disguised copy of the true one.",
    ObfuscatedSource(),
)
