"""Runs a plan into a store, with an executor. A run that was interrupted can be resumed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from siplab.experiments.storage.manifest import Manifest
from siplab.experiments.storage.parquet import arrow
from siplab.experiments.storage.places import Place
from siplab.experiments.storage.store import Store
from siplab.experiments.sweep import executors
from siplab.experiments.sweep.chunks import Chunk, chunks, ingredients
from siplab.experiments.sweep.dask import dask
from siplab.experiments.sweep.executors import Executor, Say
from siplab.experiments.sweep.work import Done, Work, there
from siplab.experiments.trial.spec import TrialSpec
from siplab.experiments.trial.watchdog import TRIAL_TIMEOUT
from siplab.lab.errors import UsageError

BATCH = 1000
"""Trials per batch, by default."""


@dataclass(frozen=True)
class How:
    """Which executor runs the trials.

    ``jobs``: processes of this machine. ``scheduler``: the address of Dask's scheduler; empty: one is started
    here. ``limit``, ``share``: as for ``trial.runner.run_all``.
    """

    executor: Executor = "local"
    jobs: int = 1
    scheduler: str = ""
    limit: float = TRIAL_TIMEOUT
    share: bool = True


def manifest_of(name: str, world: str, specs: Sequence[TrialSpec], batch: int = BATCH) -> Manifest:
    """The manifest of a store with these trials. Raises ``UsageError``."""
    found = ingredients(specs)
    return Manifest(
        experiment=name,
        world=world,
        seeds=sorted({each.seed for each in specs}),
        trials=len(specs),
        batch=batch,
        plan=found.plan,
        engine=found.engine,
        inputs=found.inputs,
        model_paths=list(dict.fromkeys(path for each in specs for path in each.model_paths)),
        detector_paths=list(dict.fromkeys(path for each in specs for path in each.detector_paths)),
        scenario_paths=list(dict.fromkeys(path for each in specs for path in each.scenario_paths)),
        reach=any(each.reach for each in specs),
    )


def sweep(
    specs: Sequence[TrialSpec],
    place: Place,
    manifest: Manifest,
    how: How = How(),
    *,
    resume: bool = False,
    progress: Callable[[Done], None] = lambda done: None,
    say: Say = lambda text: None,
) -> Store:
    """Run every trial that is not in the store yet.

    ``progress`` is called for each batch, also for those that were there already; ``say`` if a worker dies.
    Raises ``UsageError`` if the place has other results, ``CapabilityError`` if a library is missing.
    """
    arrow(f"--parquet {place.at}")
    if not place.is_shared and (how.executor == "processes" or how.scheduler):
        raise UsageError(
            f"--parquet {place.at}: workers in other processes can't write into this one's memory"
        )
    store = Store.begun(place, manifest, resume=resume)
    done = store.parts()
    for part in sorted(done):
        progress(there(store, part))
    work = Work(place, manifest, how.limit, how.share)
    asked = [replace(each, changes=True) for each in specs]
    missing = (each for each in chunks(asked, manifest.batch) if each.part not in done)
    running = _running(work, missing, how, say)
    with closing(running):
        for each in running:
            progress(each)
    store.finish()
    return store


def _running(work: Work, missing: Iterator[Chunk], how: How, say: Say) -> Generator[Done, None, None]:
    match how.executor:
        case "processes":
            return executors.processes(work, missing, how.jobs, say)
        case "dask":
            return dask(work, missing, how.jobs, how.scheduler, say)
        case "local":
            return executors.local(work, missing)
