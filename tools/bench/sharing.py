"""How many trials of a matrix of models need not run, because another trial has the same result."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

from siplab.alg_models import catalogue
from siplab.experiments.trial import registry, worker
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.sharing import Sharing
from siplab.experiments.trial.spec import TrialSpec
from tools.bench.parts import Part, Row

_EVERY: Final = 4  # model of the catalogue


def measure() -> dict[str, Any]:
    """CPU seconds of the matrix with and without sharing, and the share of trials that were not run."""
    worker.prepare()
    models = [model.id for model in catalogue.load().runnable()][::_EVERY]
    scenarios = [each.id for each in registry.scenarios()]
    chosen = [TrialSpec("home", model, scenario) for scenario in scenarios for model in models]
    sharing = Sharing()
    spent = {"alone": 0.0, "shared": 0.0}
    for spec in chosen:  # alternate, so that a busy moment affects both alike
        began = time.process_time()
        trial.run(spec)
        between = time.process_time()
        sharing.run(spec)
        spent["alone"] += between - began
        spent["shared"] += time.process_time() - between
    return {
        "models": len(models),
        "trials": len(chosen),
        "not_run": round(sharing.shared / len(chosen), 3),
        "alone_s": round(spent["alone"], 2),
        "shared_s": round(spent["shared"], 2),
        "times_faster": round(spent["alone"] / spent["shared"], 2),
    }


def rows(found: dict[str, Any]) -> Iterator[Row]:
    yield Row(
        f"{found['trials']} trials of {found['models']} models: not run, as they come out alike",
        f"{found['not_run']:.0%}",
        f"{found['times_faster']} x faster than --no-share",
    )


PART: Final = Part("sharing", measure, rows)
