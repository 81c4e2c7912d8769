"""One trial on a running emulated lab."""

from __future__ import annotations

import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any, Final

from siplab.experiments.trial import run as trial
from siplab.experiments.trial import worker
from siplab.experiments.trial.spec import TrialSpec
from siplab.experiments.trial.worker import EmulatedLabs
from siplab.lab.worlds.emulated import capability
from siplab.lab.worlds.emulated.bubble import Bubble, serve
from tools.bench.parts import Part, Row, show, spread

_ROUNDS: Final = 40


def task(connection: Connection) -> None:
    """Task of the bubble."""
    worker.prepare()
    serve(connection, _measured)


def measure() -> dict[str, Any]:
    """Milliseconds of wall-clock time, by scenario."""
    with Bubble("tools.bench.trials:task") as bubble:
        found: dict[str, Any] = bubble.call()
        return found


def _measured() -> dict[str, Any]:
    labs = EmulatedLabs()
    times: dict[str, list[float]] = {}
    for name in ("register", "outgoing-call", "incoming-call(idle=70)"):
        rows = times.setdefault(name, [])
        for index in range(1 + _ROUNDS):  # the first trial fills caches
            spec = TrialSpec("home", "correct", name, seed=index)
            began = time.perf_counter()
            result, _ = trial.run(spec, labs.world)
            rows.append((time.perf_counter() - began) * 1e3)
            assert result.outcome == "pass", result
    return {name: spread(rows[1:]) for name, rows in times.items()}


def rows(found: dict[str, Any]) -> Iterator[Row]:
    for name, values in found.items():
        yield Row(f"trial on a running lab: {name}", show(values, "ms"))


PART: Final = Part("trials", measure, rows, capability.obstacle)
