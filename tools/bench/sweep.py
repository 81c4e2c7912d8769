"""What a typical trial costs: a seeded sample of 300 over models, scenarios, topologies and remedies."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator
from typing import Any, Final

from siplab import topologies
from siplab.alg_models import catalogue
from siplab.experiments.trial import registry, worker
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from tools.bench.parts import Part, Row

TRIALS: Final = 300


def specs(count: int = TRIALS) -> list[TrialSpec]:
    """The sweep, the same each time for the same catalogue."""
    rng = random.Random("sweep")
    models = [model.id for model in catalogue.load().runnable()]
    scenarios = [each.id for each in registry.scenarios()]
    remedies = [each.id for each in registry.mitigations()]
    found: list[TrialSpec] = []
    while len(found) < count:
        chosen = tuple(rng.sample(remedies, rng.choice((0, 0, 1, 2))))
        spec = TrialSpec(
            rng.choice(topologies.available()),
            rng.choice(models),
            rng.choice(scenarios),
            mitigations=chosen,
            seed=rng.randrange(10**6),
        )
        try:
            trial.check_spec(spec)
        except UsageError:  # the network has no router for the model or the remedy
            continue
        found.append(spec)
    return found


def measure() -> dict[str, Any]:
    """Milliseconds of CPU per trial of the sweep, without the first ones, which fill caches."""
    worker.prepare()
    chosen = specs()
    for spec in chosen[:20]:
        trial.run(spec)
    times = []
    for spec in chosen:
        began = time.process_time()
        trial.run(spec)
        times.append((time.process_time() - began) * 1e3)
    dearest = max(range(len(times)), key=lambda at: times[at])
    return {
        "trials": len(times),
        "mean_ms": round(statistics.mean(times), 2),
        "median_ms": round(statistics.median(times), 2),
        "dearest_ms": round(times[dearest], 1),
        "dearest": chosen[dearest].name,
        "mean_ms_without_the_dearest_tenth": round(statistics.mean(sorted(times)[: len(times) * 9 // 10]), 2),
    }


def rows(found: dict[str, Any]) -> Iterator[Row]:
    yield Row(
        f"a random trial: {found['trials']} over models, scenarios, networks, remedies",
        f"{found['mean_ms']} ms CPU in the mean, {found['median_ms']} the middle one",
        f"dearest: {found['dearest_ms']} ms, {found['dearest']}",
    )


PART: Final = Part("sweep", measure, rows)
