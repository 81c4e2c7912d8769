"""What a detector's whole scoreboard costs: every model and clean control, with its reach measured."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

from siplab.experiments.score import plan as planning
from siplab.experiments.score import tally
from siplab.experiments.trial import run as trial
from siplab.experiments.trial import worker
from tools.bench.parts import Part, Row, show, spread

_DETECTORS: Final = ("mirror", "combined")
_ROUNDS: Final = 3


def measure() -> dict[str, Any]:
    """Seconds of CPU by detector."""
    worker.prepare()
    routers = planning.subjects()
    costs: dict[str, Any] = {"routers": len(routers)}
    for detector in _DETECTORS:
        plan = planning.plan([detector], routers)
        rounds = []
        for _ in range(_ROUNDS):
            began = time.process_time()
            results = [trial.run(spec)[0] for spec in plan.trials]
            tally.scores(plan, results)
            rounds.append(time.process_time() - began)
        costs[detector] = spread(rounds)
    return costs


def rows(found: dict[str, Any]) -> Iterator[Row]:
    for detector in _DETECTORS:
        yield Row(f"scoreboard of {detector}", show(found[detector], "s CPU"), f"{found['routers']} routers")


PART: Final = Part("score", measure, rows)
