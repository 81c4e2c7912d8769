"""The result of a trial."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Literal

from siplab.experiments.trial.changed_parts import ChangedPart
from siplab.experiments.trial.counterfactual.actions import GatewayAction
from siplab.experiments.trial.media import StreamReport
from siplab.experiments.trial.reach import Reach
from siplab.experiments.trial.spec import TrialSpec
from siplab.experiments.trial.stage import Check, Finding


class Basis(StrEnum):
    """What an explanation is based on."""

    UNDONE = "undone"  # the trial was run again with some actions of routers undone, and the check passes
    NOT_THE_ALG = "not-the-alg"  # the trial was run again, and nothing that the routers' ALGs did matters
    MECHANISM = "mechanism"  # the trial can't be run again; the trace suggests this, without proof


@dataclass(frozen=True)
class Explanation:
    """Why one check failed. ``text`` says everything; the other fields give the same to programs.

    ``undone``: the smallest set of actions found whose undoing makes the check pass; ``also``: the classes of
    another such set; ``reference``: the ALG that acts in their place; ``runs``: how often the trial was run
    again. ``confirmed``: the fields below come from the trace, and running the trial again confirms them.
    ``message``: label of the message that a router touched (``REGISTER``, ``200 OK (INVITE)``), on its way
    from ``sender`` to ``receiver`` at ``now`` (seconds). ``order``: the trace record where this begins, -1:
    none. ``router``: which one touched it; empty: none did, so no ALG is to blame. ``kind``: the name of the
    cause. ``parts``: the parts that were changed, by the names of ``lab.wire.compare``. ``rule``: which rule
    that breaks. ``witness``: who noticed, and in which words.
    """

    check: str
    text: str
    kind: str
    basis: Basis = Basis.MECHANISM
    undone: tuple[GatewayAction, ...] = ()
    also: tuple[GatewayAction, ...] = ()
    reference: Literal["correct", "none", ""] = ""
    runs: int = 0
    confirmed: bool = False
    message: str = ""
    sender: str = ""
    receiver: str = ""
    now: float = 0.0
    order: int = -1
    router: str = ""
    parts: tuple[str, ...] = ()
    rule: str = ""
    witness: str = ""


@dataclass
class TrialResult:
    """The result of a trial.

    ``errors``: why the trial is invalid (a model that raised, packets that the kernel lost). ``notes``: what
    a reader has to know of vendors' models: how well they are known, or that nobody does. ``unknown``: a
    router stands for one whose behaviour nobody knows, so the trial says nothing. ``not_applicable``: what
    the scenario needs and an endpoint can't do. The trial says nothing then. ``explanation``: why each failed
    check failed, if asked for (``explained``). ``reproducible``: whether another run has the same bytes. If
    not, compare outcomes. ``models``: the model spec of each gateway, after mitigations. ``changes``: the
    parts of messages that routers changed, if the trial asks for them; tables have them, ``as_json`` does
    not. ``files``: names of the files written about the trial, by kind. ``course``: a digest of all answers
    of the gateways, if they were recorded (``trial.sharing``). Trials of one setting with the same digest are
    identical.
    """

    spec: TrialSpec
    world: str
    checks: list[Check] = field(default_factory=list)
    finding: Finding | None = None
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unknown: bool = False
    not_applicable: str = ""
    reproducible: bool = True
    duration: float = 0.0  # seconds on the trial's clock
    packets_changed: int = 0
    reach: Reach | None = None
    media: list[StreamReport] = field(default_factory=list)
    explanation: list[Explanation] = field(default_factory=list)
    models: dict[str, str] = field(default_factory=dict)
    changes: list[ChangedPart] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    course: str = ""

    @property
    def outcome(self) -> str:
        """``error``, ``not applicable``, ``unknown``, the detector's verdict, or ``pass`` or ``fail``."""
        if self.errors:
            return "error"
        if self.not_applicable:
            return "not applicable"
        if self.unknown:
            return "unknown"
        if self.finding is not None:
            return self.finding.verdict
        return "pass" if all(check.passed for check in self.checks) else "fail"

    @property
    def first_failure(self) -> Check | None:
        return next((check for check in self.checks if not check.passed), None)

    def settings(self) -> dict[str, Any]:
        """What was tried, as plain data."""
        spec = {name: value for name, value in vars(self.spec).items() if value or name == "seed"}
        for each in ("model_paths", "detector_paths", "scenario_paths", "reach", "changes"):
            spec.pop(each, None)
        if self.spec.gateway == "queue":
            spec.pop("gateway")
        if self.spec.program is not None:
            spec["detector"] = self.spec.program.id
        return spec

    def as_json(self) -> dict[str, Any]:
        """Plain data; the same trial gives the same (``siplab schema results``)."""
        row: dict[str, Any] = {**self.settings(), "world": self.world, "outcome": self.outcome}
        if self.models:
            row["models"] = self.models
        if self.files:
            row["files"] = self.files
        if self.spec.real:
            row["real"] = True
        if not self.reproducible:
            row["reproducible"] = False
        if self.not_applicable:
            row["not_applicable"] = self.not_applicable
        if self.finding is not None:
            row["finding"] = asdict(self.finding)
        if self.checks:
            row["checks"] = [dict(vars(check)) for check in self.checks]
        if self.explanation:
            row["explanation"] = [asdict(each) for each in self.explanation]
        if self.media:
            row["media"] = [asdict(stream) for stream in self.media]
        if self.reach is not None:
            row["reach"] = asdict(self.reach)
        if self.notes:
            row["notes"] = self.notes
        return row | {
            "errors": self.errors,
            "duration": round(self.duration, 6),
            "packets_changed": self.packets_changed,
        }
