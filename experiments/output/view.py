"""What there is to show of one trial, as plain data: ladders, pages and notebooks draw from this and
nothing else.

The rules of this file:

- Everything is text and numbers, so it is JSON as it stands: ``siplab schema trial`` is made from these
  classes.
- Messages and changes have numbers, from 1, and whoever means one says its number.
- Text of the wire is UTF-8; bytes that are none are escaped as ``\\xff``. ``marks`` count characters of it.
- Times are in seconds of the trial's clock, unless they are said to count from the answer.
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

    ``model``: the spec of a gateway's ALG, empty for none and for hosts. ``role``: a host's, as the topology
    has it.
    """

    name: str
    kind: Literal["host", "gateway"]
    role: str
    addresses: tuple[str, ...]
    model: str


@dataclass(frozen=True)
class Line:
    """One line of a message; ``marks`` are the spans that differ, each from its first character to behind
    its last.

    The line's ending is there only where it differs too.
    """

    text: str
    marks: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class LinePair:
    """A line that differs, before and after; ``None`` where there is no such line."""

    before: Line | None
    after: Line | None


@dataclass(frozen=True)
class Altered:
    """What one gateway's ALG did to one message: the lines that differ, and the number of the change.

    Messages to which the same was done have the same number. No ``lines``: a piece of a message over TCP,
    which can't be compared.
    """

    gateway: str
    change: int
    lines: tuple[LinePair, ...]


@dataclass(frozen=True)
class BrokenRule:
    """A rule of syntax that a message breaks after a change and did not before.

    ``rule`` is its id, ``reference`` the RFC and section, ``sentence`` what is wrong, ``about`` the rule
    itself. ``tolerated``: receivers should put up with it.
    """

    rule: str
    reference: str
    sentence: str
    about: str
    tolerated: bool


@dataclass(frozen=True)
class Change:
    """What a gateway did to one message or more; ``messages`` are the numbers of these.

    ``parts`` are the names of what differs, by ``siplab.lab.wire.compare``. ``broken_before``: the message
    broke some rule already.
    """

    number: int
    gateway: str
    messages: tuple[int, ...]
    parts: tuple[str, ...]
    broken: tuple[BrokenRule, ...]
    broken_before: bool


@dataclass(frozen=True)
class Noticed:
    """What a receiver made of a message; ``kind`` is an ``EventKind`` of ``siplab.lab.sip.events``."""

    host: str
    kind: str
    detail: str


@dataclass(frozen=True)
class Message:
    """One packet on its way from its sender to where it ended.

    ``path``: the nodes that had it, in order; empty for what is no packet (a reboot). ``aim``: the node that
    its sender means. ``signalling``: SIP, and events of the world. ``repeated``: its sender sent the same
    before. ``failed``: it ended where it should not; ``fell_short``: before any further node. ``source`` and
    ``destination`` are as sent, ``seen_source`` and ``seen_destination`` as the last gateway let it go.
    ``packets``: with those that shared its fate, the last of which was due at ``until``. ``text``: a SIP
    message as it was sent; ``seen``: as it arrived, where that differs.
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

    ``times``: how many packets; ``until``: when the last of them was, ``None`` for a single one.
    ``repeated``: all behind the first were sent again. ``counted``: what is no signalling, which always shows
    its number.
    """

    messages: tuple[int, ...]
    times: int
    until: float | None
    repeated: bool
    counted: bool


@dataclass(frozen=True)
class Cause:
    """Why a check failed. ``basis``: what that rests on; ``undone``: without these actions it passes.

    ``message``: the number of the message that is meant, ``None`` for none. ``gateway``: who is to blame,
    empty for nobody. ``kind``: the cause, by its name. ``rule``: what was broken. ``witness``: who noticed.
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
    """One thing that was looked at. ``symptom``: what a user notices when it fails."""

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
    """One trial. ``title`` says it in words, ``command`` shows it again.

    ``answered``: when the first call was answered, from which ``streams`` count their spans; ``None``: never.
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
    """A trial beside another: ``kind`` says what differs from the trial that was asked for.

    ``asked``: nothing. ``control``: the same with the ALG off. ``remedy``: with a mitigation. ``about`` says
    it in words.
    """

    kind: Literal["asked", "control", "remedy"]
    name: str
    about: str
    trial: TrialView


@dataclass(frozen=True)
class Remedy:
    """A mitigation that was tried: what came of it, ``pass``, ``fail``, ``error``; ``why`` it can't be."""

    id: str
    summary: str
    outcome: str
    why: str = ""


@dataclass(frozen=True)
class Bar:
    """A network in the drawing of a topology, ``y`` characters below its top; ``label`` stands above it."""

    y: int
    label: str
    impaired: bool


@dataclass(frozen=True)
class Box:
    """A host or router in the drawing: left, top, size in characters, and the ``bars`` that it is joined
    to.
    """

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
    """Where everything of a network stands."""

    title: str
    width: int
    height: int
    bars: tuple[Bar, ...]
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Voice:
    """What a phone's user says, over and over: G.711 mu-law of 8000 samples per second, in Base64."""

    name: str
    mu_law: str


@dataclass(frozen=True)
class TrialDocument:
    """A trial with what it is compared to; the first of ``variants`` is the trial that was asked for.

    ``voices``: the signals that streams name. ``left_out``: what is missing here for want of room, in words.
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
