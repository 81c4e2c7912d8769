"""What the default kinds of phones and servers cost, compared with the strict ones: the same trials in turn.

The default server relays media and sends keep-alives, so its trials have more packets. The ratio of CPU time
per record of the trace shows what the kinds themselves cost.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Any, Final

from siplab.experiments.trial import run as trial
from siplab.experiments.trial import worker
from siplab.experiments.trial.pairs import DEFAULT, STRICT
from siplab.experiments.trial.spec import TrialSpec
from tools.bench.parts import Part, Row

MODELS: Final = ("none", "correct", "contact-wrong-port")
SCENARIOS: Final = ("register", "outgoing-call", "incoming-call")
ROUNDS: Final = 30


def measure() -> dict[str, Any]:
    """By scenario: the median ratio, default to strict, of CPU time per trial and per record of the trace."""
    worker.prepare()
    found = {}
    for scenario in SCENARIOS:
        times, records = [], []
        for model in MODELS:
            for seed in range(ROUNDS + 1):
                spec = TrialSpec("home", model, scenario, seed=seed)
                cost, count = _measured(spec.between(DEFAULT))
                strict_cost, strict_count = _measured(spec.between(STRICT))
                if seed:  # the first trial fills caches
                    times.append(cost / strict_cost)
                    records.append(cost / strict_cost * strict_count / count)
        found[scenario] = {
            "cpu_ratio": round(statistics.median(times), 3),
            "cpu_ratio_per_record": round(statistics.median(records), 3),
        }
    return found


def _measured(spec: TrialSpec) -> tuple[float, int]:
    """Seconds of CPU, and records of the trace."""
    began = time.process_time()
    _, trace = trial.run(spec)
    return time.process_time() - began, len(trace.records)


def rows(found: dict[str, Any]) -> Iterator[Row]:
    for scenario, costs in found.items():
        yield Row(
            f"{scenario}: the default endpoints, beside the strict ones",
            f"{costs['cpu_ratio']} x CPU",
            f"{costs['cpu_ratio_per_record']} x for a record of the trace",
        )


PART: Final = Part("endpoints", measure, rows)
