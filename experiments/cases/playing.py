"""Runs a case: do its trials come out as reported?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from siplab.experiments.cases.schema import Outcome, Step
from siplab.experiments.explain import explained
from siplab.experiments.trial import run as trial
from siplab.experiments.trial import runner
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec


@dataclass(frozen=True)
class Example:
    """A trial, the check that failed first in it, and why it failed."""

    check: str
    spec: TrialSpec
    why: str


@dataclass(frozen=True)
class Verdict:
    """The verdict on a step.

    ``measured``: what the trials did; ``None`` if a trial is invalid. ``working``: how many trials had no
    failed check. ``noticed``: the checks that failed first in the others, and how often; ``examples``: a
    trial for each. ``doubts``: why the claim does not hold; empty if it holds.
    """

    step: Step
    measured: Outcome | None
    working: int
    trials: int
    noticed: Mapping[str, int]
    doubts: tuple[str, ...]
    examples: tuple[Example, ...]

    @property
    def holds(self) -> bool:
        return not self.doubts


def play(
    steps: Sequence[Step],
    worlds: Sequence[str],
    jobs: int = 1,
    progress: Callable[[TrialResult], None] = lambda result: None,
) -> list[Verdict]:
    """Run all trials of these steps in these worlds, and judge each step. Raises ``UsageError``."""
    rows = [step.trials() for step in steps]
    specs = [spec for row in rows for spec in row]
    results = [runner.run_all(specs, world=world, jobs=jobs, progress=progress) for world in worlds]
    verdicts = []
    start = 0
    for step, row in zip(steps, rows, strict=True):
        end = start + len(row)
        verdicts.append(judge(step, [each[start:end] for each in results]))
        start = end
    return verdicts


def judge(step: Step, results: Sequence[Sequence[TrialResult]]) -> Verdict:
    """The verdict on one step, from its results in each world."""
    ours = results[0]
    failed = [each for each in ours if each.outcome == "fail"]
    invalid = [error for world in results for each in world for error in each.errors]
    working = sum(each.outcome == "pass" for each in ours)
    noticed = Counter(each.first_failure.name for each in failed if each.first_failure is not None)
    measured: Outcome | None = "varies"
    if invalid:
        measured = None
    elif working == len(ours):
        measured = "works"
    elif not working:
        measured = "fails"
    doubts = []
    if invalid:
        doubts.append(f"a trial is invalid: {invalid[0]}")
    elif measured != step.expect:
        doubts.append(f"the case says that it {step.expect}; measured, it {measured}")
    else:
        doubts += [f"no trial failed at '{name}'" for name in step.notices if name not in noticed]
        doubts += [f"trials failed at '{name}' too" for name in noticed if name not in step.notices]
    for other in results[1:]:
        for one, two in zip(ours, other, strict=True):
            if _told(one) != _told(two):
                doubts.append(f"the two worlds differ in {one.spec.name}")
                break
    examples = tuple(_example(name, failed) for name in noticed)
    return Verdict(step, measured, working, len(ours), dict(noticed), tuple(doubts), examples)


def _example(name: str, failed: Sequence[TrialResult]) -> Example:
    spec = next(each.spec for each in failed if each.first_failure and each.first_failure.name == name)
    result, trace = trial.run(spec)  # simulated: the bytes are the same as in the emulated world
    found = explained(result, trace).explanation
    return Example(name, spec, found[0].text if found else "")


def _told(result: TrialResult) -> dict[str, Any]:
    """What a result says, without what depends on the world."""
    row = result.as_json()
    row.pop("world")
    return row
