"""What the detector ``combined`` costs, with and without the part that imitates real calls.

The part is ``experiments.detectors.real_calls``. The same trials run both ways; the result is CPU and packets
of each, and their ratios.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any, Final
from unittest import mock

from siplab.experiments.detectors import combined
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.worlds.trace import Passage
from tools.bench.parts import Part, Row

MODELS: Final = 20
_ROUNDS: Final = 3


def measure() -> dict[str, Any]:
    """CPU seconds, and packets at the router, with and without the part, over some models."""
    models = random.Random(12).sample(trial.models().runnable(), MODELS)
    specs = [TrialSpec("home", each.id, detector="combined") for each in models]
    now, before = _cost(specs), _cost_before(specs)
    return {
        "models": MODELS,
        "cpu": round(now[0], 3),
        "cpu_before": round(before[0], 3),
        "packets": now[1],
        "packets_before": before[1],
        "cpu_ratio": round(now[0] / before[0], 2),
        "packets_ratio": round(now[1] / before[1], 2),
    }


def _cost_before(specs: list[TrialSpec]) -> tuple[float, int]:
    with mock.patch.object(combined, "real_calls", return_value=()):
        return _cost(specs)


def _cost(specs: list[TrialSpec]) -> tuple[float, int]:
    """CPU seconds (the least of several rounds), and packets that entered the router."""
    least, packets = float("inf"), 0
    for _ in range(_ROUNDS):
        began = time.process_time()
        traces = [trial.run(spec)[1] for spec in specs]
        least = min(least, time.process_time() - began)
        packets = sum(isinstance(each, Passage) for trace in traces for each in trace)
    return least, packets


def rows(found: dict[str, Any]) -> Iterator[Row]:
    yield Row(
        "conversation of combined, beside what it was without what real calls contain",
        f"{found['cpu_ratio']} x CPU",
        f"{found['packets_ratio']} x packets",
    )


PART: Final = Part("combined", measure, rows)
