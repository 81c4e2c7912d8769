"""What it costs to run trials by an executor and store them, compared with a bare loop over the same trials.

Costs are the CPU time of all processes, without their start. For that, an executor runs twice, with few and
with many trials; the difference in cost is divided by the difference in trials. Two processes are compared
with two bare loops at the same time, since cores share caches: when both are busy, a trial costs more CPU in
any case.
"""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from siplab.experiments.storage.places import Place
from siplab.experiments.sweep.sweep import BATCH, How, manifest_of, sweep
from siplab.experiments.trial import worker
from siplab.experiments.trial.sharing import Sharing
from siplab.experiments.trial.spec import TrialSpec
from tools.bench.parts import Part, Row
from tools.scale import plan

FEW: Final = 1000
MANY: Final = 4000
ROUNDS: Final = 2  # the least result counts
EXECUTORS: Final = (How("local", 1), How("processes", 2), How("dask", 2))


def _cpu() -> float:
    found = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        used = resource.getrusage(who)
        found += used.ru_utime + used.ru_stime
    return found


def _cost(run: Callable[[list[TrialSpec]], None], few: int, many: int) -> tuple[float, float]:
    """Milliseconds per additional trial: CPU time, and wall-clock time."""
    spent = []
    for count in (few, many):
        specs = plan(count)
        rounds = []
        for _ in range(ROUNDS):
            began, at = _cpu(), time.monotonic()
            run(specs)
            rounds.append((_cpu() - began, time.monotonic() - at))
        spent.append([min(each) for each in zip(*rounds, strict=True)])
    (cpu, clock), (more_cpu, more_clock) = spent
    return 1e3 * (more_cpu - cpu) / (many - few), 1e3 * (more_clock - clock) / (many - few)


def _bare(specs: list[TrialSpec]) -> None:
    sharing = Sharing()
    for each in specs:
        sharing.run(each)


def _two_at_once(specs: list[TrialSpec]) -> None:
    fork = multiprocessing.get_context("fork")
    middle = len(specs) // 2
    loops = [fork.Process(target=_bare, args=(half,)) for half in (specs[:middle], specs[middle:])]
    for each in loops:
        each.start()
    for each in loops:
        each.join()


def _stored(how: How) -> Callable[[list[TrialSpec]], None]:
    def run(specs: list[TrialSpec]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            sweep(specs, Place(folder), manifest_of("bench", "simulated", specs, BATCH), how)

    return run


def measure(few: int = FEW, many: int = MANY) -> dict[str, Any]:
    """By executor: CPU and wall-clock time per trial, and its rate as a share of the bare loop's."""
    worker.prepare()
    _bare(plan(few))  # fill caches
    bare = {1: _cost(_bare, few, many), 2: _cost(_two_at_once, few, many)}
    found: dict[str, Any] = {
        name: {"cpu_ms": round(bare[jobs][0], 2), "ms": round(bare[jobs][1], 2)}
        for jobs, name in ((1, "bare loop"), (2, "two bare loops at once"))
    }
    for how in EXECUTORS:
        cpu, clock = bare[how.jobs]
        used, took = _cost(_stored(how), few, many)
        found[f"{how.executor}, {how.jobs}"] = {
            "cpu_ms": round(used, 2),
            "ms": round(took, 2),
            "of_the_bare_loops_rate_by_cpu": round(cpu / used, 3),
            "of_the_bare_loops_rate_by_clock": round(clock / took, 3),
        }
    return found


def rows(found: dict[str, Any]) -> Iterator[Row]:
    for name, costs in found.items():
        if "of_the_bare_loops_rate_by_clock" in costs:
            yield Row(
                f"a trial stored as Parquet, by the executor {name}",
                f"{costs['cpu_ms']} ms CPU",
                f"{costs['of_the_bare_loops_rate_by_clock']} of a bare loop's trials per second (goal 0.9)",
            )


PART: Final = Part("executors", measure, rows)
