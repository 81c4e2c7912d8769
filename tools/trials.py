"""The trials behind the tables of docs/. Each trial is run once, however many tables need it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from siplab.experiments.trial import run as trial
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec

_run: Callable[[TrialSpec], TrialResult] = lambda spec: trial.run(spec)[0]  # noqa: E731


def come_from(run: Callable[[TrialSpec], TrialResult]) -> None:
    """Let ``run`` run the trials from now on. Tests use this to share results among their workers."""
    global _run
    _run = run


@cache
def result(spec: TrialSpec) -> TrialResult:
    """The result of a trial; the caller must not change it. Raises ``UsageError`` for a bad spec."""
    return _run(spec)
