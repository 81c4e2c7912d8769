"""What it costs to have trials run by an executor, and written, beside a bare loop over the same trials.

Rates are told by CPU time of all processes, their starts left out where a run's own growth shows them: an
executor runs twice, with few and with many trials, and what the second costs more is divided by its trials.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable
from typing import Any, Final

from siplab.experiments.storage.places import Place
from siplab.experiments.sweep.sweep import BATCH, How, manifest_of, sweep
from siplab.experiments.trial import worker
from siplab.experiments.trial.sharing import Sharing
from siplab.experiments.trial.spec import TrialSpec
from tools.scale import plan

FEW: Final = 1000
MANY: Final = 4000
EXECUTORS: Final = (How("local", 1), How("processes", 2), How("dask", 2))


def _cpu() -> float:
    found = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        used = resource.getrusage(who)
        found += used.ru_utime + used.ru_stime
    return found


def _cost(run: Callable[[list[TrialSpec]], None], few: int, many: int) -> tuple[float, float]:
    """Milliseconds of CPU, and by the clock, of a trial more."""
    spent = []
    for count in (few, many):
        specs = plan(count)
        began, at = _cpu(), time.monotonic()
        run(specs)
        spent.append((_cpu() - began, time.monotonic() - at))
    (cpu, clock), (more_cpu, more_clock) = spent
    return 1e3 * (more_cpu - cpu) / (many - few), 1e3 * (more_clock - clock) / (many - few)


def _bare(specs: list[TrialSpec]) -> None:
    sharing = Sharing()
    for each in specs:
        sharing.run(each)


def _stored(how: How) -> Callable[[list[TrialSpec]], None]:
    def run(specs: list[TrialSpec]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            sweep(specs, Place(folder), manifest_of("bench", "simulated", specs, BATCH), how)

    return run


def executors_bench(few: int = FEW, many: int = MANY) -> dict[str, Any]:
    """By executor: CPU and time of a trial, and its share of the rate that a bare loop would have."""
    worker.prepare()
    _bare(plan(few))  # what is read and made once
    cpu, clock = _cost(_bare, few, many)
    found: dict[str, Any] = {"bare loop": {"cpu_ms": round(cpu, 2), "ms": round(clock, 2)}}
    for how in EXECUTORS:
        used, took = _cost(_stored(how), few, many)
        found[f"{how.executor}, {how.jobs}"] = {
            "cpu_ms": round(used, 2),
            "ms": round(took, 2),
            "of_the_bare_loops_rate_by_cpu": round(cpu / used, 3),
            "of_the_bare_loops_rate_by_clock": round(clock / (took * how.jobs), 3),
        }
    return found
