"""One trial on a running emulated lab."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from siplab.experiments.trial.worker import EmulatedLabs
from siplab.lab.worlds.emulated import capability
from tools.bench.parts import Part, Row, in_bubble, show, spread

_ROUNDS: Final = 40


def measure() -> dict[str, Any]:
    """Milliseconds of wall-clock time, by scenario."""
    return in_bubble(__name__)


def measured() -> dict[str, Any]:
    """The same, measured here."""
    labs = EmulatedLabs()
    times: dict[str, list[float]] = {}
    for name in ("register", "outgoing-call", "incoming-call(idle=70)"):
        spent = times.setdefault(name, [])
        for index in range(1 + _ROUNDS):  # the first trial fills caches
            spec = TrialSpec("home", "correct", name, seed=index)
            began = time.perf_counter()
            result, _ = trial.run(spec, labs.world)
            spent.append((time.perf_counter() - began) * 1e3)
            assert result.outcome == "pass", result
    return {name: spread(spent[1:]) for name, spent in times.items()}


def rows(found: dict[str, Any]) -> Iterator[Row]:
    for name, values in found.items():
        yield Row(f"trial on a running lab: {name}", show(values, "ms"))


PART: Final = Part("trials", measure, rows, capability.obstacle)
