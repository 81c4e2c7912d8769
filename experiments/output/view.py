"""The data that can be shown of one trial. Ladders, pages and notebooks draw from this and nothing else.

The rules of this file:

- Everything is text and numbers, and can be written as JSON. ``siplab schema trial`` is made from these
  classes.
- Messages and changes are numbered from 1. Other data refers to them by number.
- Text of the wire is UTF-8; other bytes are escaped as ``\\xff``. ``marks`` count characters of this text.
- Times are seconds on the trial's clock, unless they are said to count from the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from siplab.experiments.trial.counterfactual.actions import GatewayAction
from siplab.experiments.trial.media import StreamReport
from siplab.experiments.trial.result import Basis
from siplab.experiments.trial.stage import About

VERSION: Final = 1


@dataclass(frozen=True)
class Node:
    """A host or gateway that takes part, or one between those that do.

    ``model``: the spec of a gateway's ALG, empty if it has none, and for hosts. ``role``: a host's role in
    the topology.
    """

    name: str
    kind: Literal["host", "gateway"]
    role: str
    addresses: tuple[str, ...]
    model: str


@dataclass(frozen=True)
class Line:
    """One line of a message; ``marks``: the spans that differ. A span does not include its end.

    The line's ending is included only if it differs, too.
    """

    text: str
    marks: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class LinePair:
    """A line that differs, before and after; ``None`` if there is no such line."""

    before: Line | None
    after: Line | None


@dataclass(frozen=True)
class Altered:
    """What one gateway's ALG did to one message: the lines that differ, and the number of the change.

    Messages to which the same was done have the same number. Without ``lines``: a piece of a message over
    TCP, which can't be compared.
    """

    gateway: str
    change: int
    lines: tuple[LinePair, ...]


@dataclass(frozen=True)
class BrokenRule:
    """A syntax rule that a message breaks after a change and did not break before.

    ``rule``: its id; ``reference``: the RFC and section; ``sentence``: what is wrong; ``about``: the rule
    itself. ``tolerated``: receivers should accept this nevertheless.
    """

    rule: str
    reference: str
    sentence: str
    about: str
    tolerated: bool


@dataclass(frozen=True)
class Change:
    """What a gateway did to one or more messages; ``messages``: their numbers.

    ``parts``: the names of what differs, as in ``siplab.lab.wire.compare``. ``broken_before``: the message
    broke a rule already.
    """

    number: int
    gateway: str
    messages: tuple[int, ...]
    parts: tuple[str, ...]
    broken: tuple[BrokenRule, ...]
    broken_before: bool


@dataclass(frozen=True)
class Noticed:
    """What a receiver noted about a message; ``kind`` is an ``EventKind`` of ``siplab.lab.sip.events``."""

    host: str
    kind: str
    detail: str


@dataclass(frozen=True)
class Message:
    """One packet on its way from its sender to where it ended.

    ``path``: the nodes that it reached, in order; empty for what is no packet (a reboot). ``aim``: the node
    that its sender addressed. ``signalling``: SIP, and events of the world. ``repeated``: its sender sent the
    same before. ``failed``: it ended where it should not; ``fell_short``: before any further node. ``source``
    and ``destination``: as sent; ``seen_source`` and ``seen_destination``: as it left the last gateway.
    ``packets``: how many were handled alike; the last of them was to be sent at ``until``. ``text``: a SIP
    message as sent; ``seen``: as it arrived, if that differs.
    """

    number: int
    time: float
    label: str
    path: tuple[str, ...]
    aim: str
    signalling: bool
    repeated: bool
    failed: bool
    fell_short: bool
    source: str
    destination: str
    seen_source: str
    seen_destination: str
    packets: int
    until: float
    altered: tuple[Altered, ...]
    notes: tuple[str, ...]
    noticed: tuple[Noticed, ...]
    text: str
    seen: str


@dataclass(frozen=True)
class Row:
    """One row of the ladder: packets that look alike are drawn as one.

    ``times``: how many packets; ``until``: the time of the last one, ``None`` for a single packet.
    ``repeated``: all but the first were sent again. ``counted``: packets other than signalling, whose number
    is always shown.
    """

    messages: tuple[int, ...]
    times: int
    until: float | None
    repeated: bool
    counted: bool


@dataclass(frozen=True)
class Cause:
    """Why a check failed. ``basis``: what this is based on; ``undone``: without these actions it passes.

    ``message``: the number of the message that this is about, ``None`` if none. ``gateway``: the one to
    blame, empty if none. ``kind``: the name of the cause. ``rule``: what was broken. ``witness``: who
    noticed.
    """

    text: str
    kind: str
    basis: Basis
    undone: tuple[GatewayAction, ...]
    message: int | None
    gateway: str
    parts: tuple[str, ...]
    rule: str
    witness: str


@dataclass(frozen=True)
class CheckResult:
    """One thing that was checked. ``symptom``: what a user notices when it fails."""

    name: str
    passed: bool
    symptom: str
    detail: str
    about: About
    cause: Cause | None


@dataclass(frozen=True)
class DetectorFinding:
    """A detector's answer."""

    verdict: str
    changed: tuple[str, ...]
    detail: str
    evidence: tuple[str, ...]


@dataclass(frozen=True)
class TrialView:
    """One trial. ``title``: its description; ``command``: the command that shows it again.

    ``answered``: when the first call was answered; ``streams`` count their spans from then. ``None``: never.
    """

    title: str
    command: str
    settings: dict[str, Any]
    world: str
    outcome: str
    duration: float
    answered: float | None
    nodes: tuple[Node, ...]
    messages: tuple[Message, ...]
    changes: tuple[Change, ...]
    rows: tuple[Row, ...]
    checks: tuple[CheckResult, ...]
    finding: DetectorFinding | None
    streams: tuple[StreamReport, ...]
    errors: tuple[str, ...]
    notes: tuple[str, ...]

    def message(self, number: int) -> Message:
        return self.messages[number - 1]


@dataclass(frozen=True)
class Variant:
    """A trial that is shown beside others; ``kind``: how it differs from the trial that was asked for.

    ``asked``: not at all. ``control``: the same with the ALG off. ``remedy``: with a mitigation. ``about``:
    the difference in words.
    """

    kind: Literal["asked", "control", "remedy"]
    name: str
    about: str
    trial: TrialView


@dataclass(frozen=True)
class Remedy:
    """A mitigation that was tried. ``outcome``: ``pass``, ``fail``, ``error``; ``why``: why it can't be."""

    id: str
    summary: str
    outcome: str
    why: str = ""


@dataclass(frozen=True)
class Bar:
    """A network in the drawing of a topology, ``y`` characters below its top; ``label`` is above it."""

    y: int
    label: str
    impaired: bool


@dataclass(frozen=True)
class Box:
    """A host or router in the drawing: left, top, size in characters, and the ``bars`` it connects to."""

    name: str
    x: int
    y: int
    width: int
    height: int
    lines: tuple[str, ...]
    bars: tuple[int, ...]
    gateway: bool


@dataclass(frozen=True)
class Drawing:
    """The positions of everything in a network's drawing."""

    title: str
    width: int
    height: int
    bars: tuple[Bar, ...]
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Voice:
    """What a phone's user says, repeatedly: G.711 mu-law, 8000 samples per second, in Base64."""

    name: str
    mu_law: str


@dataclass(frozen=True)
class TrialDocument:
    """A trial with what it is compared with. The first of ``variants`` is the trial that was asked for.

    ``voices``: the signals that streams name. ``left_out``: what is missing because of its size, in words.
    """

    version: int
    siplab: str
    title: str
    model: str
    model_about: str
    played: str
    played_about: str
    network: Drawing
    variants: tuple[Variant, ...]
    remedies: tuple[Remedy, ...]
    voices: tuple[Voice, ...]
    left_out: tuple[str, ...] = ()
