"""``python -m tools.seeds``: print a table of what a second seed changes, measured on samples."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from siplab.experiments.score import plan as planning
from siplab.experiments.trial import registry, runner
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec

_SAMPLE: Final = 300
_LOSSY, _CALL = "lossy", "outgoing-call"
_SEEDS: Final = (1, 2)


def main() -> None:
    """Print the table."""
    models = [each.id for each in trial.models(()).runnable()]
    scenarios = [each.id for each in registry.scenarios()]
    draw = random.Random(0)
    pairs = [(draw.choice(models), draw.choice(scenarios)) for _ in range(_SAMPLE)]
    detectors = [each.id for each in registry.detectors()]
    rows = planning.subjects(("all",), topology="home")
    scored = draw.sample(planning.plan(detectors, rows).trials, _SAMPLE)
    print("| sample | the same checks or verdict with seeds 1 and 2 | with `--vary` |")
    print("|---|---|---|")
    for name, specs in (
        ("models and scenarios, network `home`", [TrialSpec("home", *pair) for pair in pairs]),
        (f"models, one call, network `{_LOSSY}`", [TrialSpec(_LOSSY, each, _CALL) for each in models]),
        ("detectors and routers", scored),
    ):
        print(f"| {name} | {_same(specs, vary=False)} | {_same(specs, vary=True)} |")


def _same(specs: Sequence[TrialSpec], *, vary: bool) -> str:
    first, second = (
        runner.run_all([replace(each, seed=seed, vary=vary) for each in specs], world="simulated", jobs=1)
        for seed in _SEEDS
    )
    same = sum(_told(one) == _told(other) for one, other in zip(first, second, strict=True))
    return f"{same} of {len(specs)}"


def _told(result: TrialResult) -> tuple[object, ...]:
    return result.outcome, *((check.name, check.passed) for check in result.checks)


if __name__ == "__main__":
    main()
