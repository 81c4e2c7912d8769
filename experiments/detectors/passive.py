"""Compare two captures of the same calls, one from each side of the router. Nothing is sent for it.

Messages of the two sides are paired by what survives rewriting (``siplab.experiments.captures.pairing``);
each pair should be byte for byte the same. With ``inside`` and ``outside`` the captures are files: tcpdump's
on the phone's host and on the server's, say. Without, the lab's phone registers and makes two calls, of
which each side ends one, and what its host and the server's sent and received is compared. What it can't
see: what nobody said while it listened; and what is missing on one side may be missing in the capture only,
so that is no accusation. A proxy between the two places is seen as what it is, something that changes
messages: capture in front of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from siplab.experiments import captures
from siplab.experiments.captures import Datagram
from siplab.experiments.captures.pairing import Message, Pairing, pair
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Finding, Stage
from siplab.lab.counting import number_of
from siplab.lab.worlds.trace import Received, Sent, looks_like_sip


def judged(pairing: Pairing) -> Finding:
    """``alg`` when a pair differs or the router made a message; ``undecided`` without any pair."""
    changed: list[str] = []
    evidence: list[str] = []
    for each in pairing.changed:
        changed += each.changed
        evidence.append(f"{_named(each.sent)} arrived with other bytes: {', '.join(each.changed)}")
    for message in pairing.made:
        changed.append("forged")
        evidence.append(f"{_named(message)} came that the other side never sent")
    if evidence:
        return Finding(
            "alg", tuple(dict.fromkeys(changed)), evidence[0], evidence=tuple(dict.fromkeys(evidence))
        )
    if not pairing.pairs:
        return Finding("undecided", detail="the captures have no message in common")
    return Finding("clean", detail=f"the same on both sides: {number_of(len(pairing.pairs), 'message')}")


def _named(message: Message) -> str:
    return f"{message.label} to the {'server' if message.outbound else 'phone'}"


@dataclass(frozen=True)
class Passive:
    """``inside`` and ``outside``: capture files. ``phone`` and ``server``: addresses in them, where only the
    messages of some of the hosts are meant: the phone's inside, the server's on both sides.
    """

    inside: str = ""
    outside: str = ""
    phone: str = ""
    server: str = ""

    def run(self, stage: Stage) -> Finding:
        role = "outbound-proxy" if stage.has("outbound-proxy") else "server"
        near, _ = stage.host("phone")
        far, _ = stage.host(role)
        if self.inside and self.outside:
            return judged(pair(self._read(self.inside, self.phone), self._read(self.outside)))
        phones = [stage.phone, stage.far_phone] if stage.has("far-phone") else [stage.phone]
        for each in reversed(phones):
            stage.do(each, each.register)
        stage.idle(3.0)
        for each in phones:  # each of them ends a call, so that BYE is seen both ways
            stage.do(stage.phone, lambda now: stage.phone.call("sip:bob@lab.test", now))
            stage.idle(3.0)
            stage.do(each, each.hang_up)
            stage.idle(3.0)
        return judged(pair(_at(stage, near), _at(stage, far), complete=True))

    def _read(self, path: str, phone: str = "") -> list[Datagram]:
        wanted = {each for each in (phone, self.server) if each}
        return [
            each
            for each in captures.read(Path(path)).messages
            if wanted <= {each.source.ip, each.destination.ip}
        ]


def _at(stage: Stage, host: str) -> list[Datagram]:
    """What a capture on one host would hold."""
    rows: list[Datagram] = []
    for each in stage.world.trace:
        if not isinstance(each, Sent | Received) or each.host != host or not looks_like_sip(each.payload):
            continue
        if isinstance(each, Sent):
            rows.append(Datagram(each.now, host, each.local, each.remote, each.payload))
        else:
            rows.append(Datagram(each.now, host, each.remote, each.local, each.payload))
    return rows


ITEM = Item("passive", "Compares captures from both sides of the router; sends nothing.", Passive())
