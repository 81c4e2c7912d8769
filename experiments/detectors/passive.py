"""Compare two captures of the same calls, one from each side of the router. Nothing is sent for it.

Messages of the two sides are paired by what survives most rewriting (branch, tags and Call-ID before the
``@``, method, CSeq); each pair should be byte for byte the same. With ``inside`` and ``outside`` the
captures are pcap or pcapng files: tcpdump's on the phone's host and on the server's, say. Without, the lab's
phone registers and makes two calls, of which each side ends one, and what its host and the server's sent and
received is compared. What it can't see: what nobody said while it listened; and what is missing on one side
may be missing in the capture only, so that is no accusation. A proxy between the two places is seen as what
it is, something that changes messages: capture in front of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from siplab.experiments import captures
from siplab.experiments.captures import Datagram
from siplab.experiments.detectors.probe_runs import name_of
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Finding, Stage
from siplab.lab.probing.observation import SeenDatagram, Transit, compare
from siplab.lab.worlds.trace import Received, Sent, looks_like_sip

_BRANCH: Final = re.compile(rb"branch\s*=\s*(?:z9hG4bK)?([^;,\s]{6,})", re.IGNORECASE)
_TAG: Final = re.compile(rb"\n(?:from|f)\s*:[^\r\n]*;\s*tag\s*=\s*([^;,\s]{4,})", re.IGNORECASE)
_CALL_ID: Final = re.compile(rb"\n(?:call-id|i)\s*:\s*([^@\s]{4,})", re.IGNORECASE)
_NUMBER: Final = re.compile(rb"\ncseq\s*:\s*(\d+\s+\w+)", re.IGNORECASE)


def identity(payload: bytes) -> tuple[bytes, ...]:
    """What tells a message from others: branch, From tag and Call-ID (with CSeq)."""
    number = _NUMBER.search(payload)
    suffix = b" " + number[1] if number else b""
    found = [_BRANCH.search(payload), _TAG.search(payload), _CALL_ID.search(payload)]
    # A branch is the transaction's; the others are the dialog's, and tell nothing without the number.
    return tuple(each[1] + (suffix if index else b"") for index, each in enumerate(found) if each)


def compare_captures(
    inside: Iterable[Datagram], outside: Iterable[Datagram], phone: str, server: str
) -> list[Transit]:
    """What became of the SIP between ``phone`` and ``server``, addresses as seen inside."""
    rows: dict[tuple[bool, bool], dict[tuple[int, bytes], SeenDatagram]] = {}
    for is_inside, side in ((True, inside), (False, outside)):
        for each in side:
            if not looks_like_sip(each.payload) or server not in (each.source.ip, each.destination.ip):
                continue
            up = each.destination.ip == server
            near, far = (each.source, each.destination) if up else (each.destination, each.source)
            if is_inside and near.ip != phone:
                continue
            datagrams = rows.setdefault((up, is_inside), {})
            datagrams.setdefault(
                (far.port, each.payload), SeenDatagram(near, far.port, each.payload, 1, each.now)
            )
    up_in, up_out = rows.get((True, True), {}), rows.get((True, False), {})
    down_out, down_in = rows.get((False, False), {}), rows.get((False, True), {})
    known = {mark for datagram in up_in.values() for mark in identity(datagram.payload)}
    theirs = [each for each in up_out.values() if known.intersection(identity(each.payload))]
    return [
        *compare(up_in.values(), theirs, outbound=True, marks=identity),
        *compare(down_out.values(), down_in.values(), outbound=False, marks=identity),
    ]


def judged(transits: list[Transit]) -> Finding:
    """``alg`` when a pair differs or an answer comes that was not sent; ``undecided`` without any pair."""
    changed: list[str] = []
    evidence: list[str] = []
    paired = 0
    for each in transits:
        paired += each.sent is not None and each.arrived is not None
        names = each.changed
        if names:
            changed += names
            evidence.append(f"{name_of(each)} arrived with other bytes: {', '.join(names)}")
        elif each.sent is None and not each.outbound:
            changed.append("forged")
            evidence.append(f"{name_of(each)} came that the other side never sent")
    if evidence:
        return Finding(
            "alg", tuple(dict.fromkeys(changed)), evidence[0], evidence=tuple(dict.fromkeys(evidence))
        )
    if not paired:
        return Finding("undecided", detail="the captures have no message in common")
    return Finding("clean", detail=f"{paired} messages are the same on both sides")


@dataclass(frozen=True)
class Passive:
    """``inside`` and ``outside``: capture files; ``phone`` and ``server``: addresses in them."""

    inside: str = ""
    outside: str = ""
    phone: str = ""
    server: str = ""

    def run(self, stage: Stage) -> Finding:
        role = "outbound-proxy" if stage.has("outbound-proxy") else "server"
        near, phone = stage.host("phone")
        far, server = stage.host(role)
        phone, server = self.phone or phone, self.server or server
        if self.inside and self.outside:
            sides = [
                list(captures.datagrams(captures.read(Path(each)))) for each in (self.inside, self.outside)
            ]
            return judged(compare_captures(sides[0], sides[1], phone, server))
        phones = [stage.phone, stage.far_phone] if stage.has("far-phone") else [stage.phone]
        for each in reversed(phones):
            stage.do(each, each.register)
        stage.idle(3.0)
        for each in phones:  # each of them ends a call, so that BYE is seen both ways
            stage.do(stage.phone, lambda now: stage.phone.call("sip:bob@lab.test", now))
            stage.idle(3.0)
            stage.do(each, each.hang_up)
            stage.idle(3.0)
        return judged(compare_captures(_at(stage, near), _at(stage, far), phone, server))


def _at(stage: Stage, host: str) -> list[Datagram]:
    """What a capture on one host would hold."""
    rows: list[Datagram] = []
    for each in stage.world.trace:
        if isinstance(each, Sent) and each.host == host:
            rows.append(Datagram(each.now, host, each.local, each.remote, each.payload))
        elif isinstance(each, Received) and each.host == host:
            rows.append(Datagram(each.now, host, each.remote, each.local, each.payload))
    return rows


ITEM = Item("passive", "Compares captures from both sides of the router; sends nothing.", Passive())
