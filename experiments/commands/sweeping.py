"""What `run`, `matrix` and `score` share when results go into tables: ``--parquet``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import typer
from rich.console import Console

from siplab.experiments.output import console
from siplab.experiments.output.progress import TrialProgress
from siplab.experiments.storage.places import Place
from siplab.experiments.storage.results import results
from siplab.experiments.storage.store import Store
from siplab.experiments.sweep.executors import Executor
from siplab.experiments.sweep.sweep import BATCH, How, manifest_of, sweep
from siplab.experiments.sweep.work import Done
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.counting import number_of
from siplab.lab.errors import UsageError

# More are counted, and not shown one by one: a table of them would not fit into memory.
MOST_SHOWN: Final = 20_000


@dataclass
class Tables:
    """Where results go as tables, and who runs the trials."""

    parquet: Annotated[
        str,
        typer.Option(
            metavar="FOLDER|URL",
            help="Write the results as tables (Parquet) here, in batches; with --resume: go on. A folder, or "
            "a URL of fsspec.",
        ),
    ] = ""
    batch: Annotated[int, typer.Option(min=1, help="With --parquet: trials of a batch at most.")] = BATCH
    executor: Annotated[
        Executor | None,
        typer.Option(
            help="With --parquet: who runs the trials. Default: processes with --jobs, else local.",
            show_default=False,
        ),
    ] = None
    scheduler: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="With --executor dask: the scheduler; default: one is started here."
        ),
    ] = ""

    def check(self, *, out: bool) -> None:
        """Raises ``UsageError`` for options that go with others only."""
        if self.parquet and out:
            raise UsageError("--parquet takes the place of --out: traces are kept without it")
        if not self.parquet and (self.executor is not None or self.scheduler):
            option = "--scheduler" if self.scheduler else "--executor"
            raise UsageError(f"{option} needs --parquet FOLDER: workers write their results as tables")
        if self.scheduler and self.executor not in (None, "dask"):
            raise UsageError(f"--scheduler is for --executor dask, not {self.executor}")

    def how(self, jobs: int, limit: float, *, share: bool) -> How:
        """Who runs the trials."""
        chosen = self.executor or ("dask" if self.scheduler else "processes" if jobs > 1 else "local")
        return How(chosen, jobs, self.scheduler, limit, share)


def run_into(
    tables: Tables,
    name: str,
    specs: Sequence[TrialSpec],
    world: str,
    how: How,
    errors: Console,
    *,
    resume: bool,
) -> list[TrialResult]:
    """Run the trials into the store, say what came of them, and give the results back, in order.

    Raises ``typer.Exit`` at the end where there are more than can be shown.
    """
    place = Place(tables.parquet)
    outcomes: Counter[str] = Counter()
    workers: Counter[str] = Counter()
    with TrialProgress(len(specs), errors) as advance:

        def progress(done: Done) -> None:
            advance(done, done.trials)
            outcomes.update(done.outcomes)
            workers[done.worker] += done.trials

        manifest = manifest_of(name, world, specs, tables.batch)
        store = sweep(specs, place, manifest, how, resume=resume, progress=progress, say=console.say)
    if resume:
        console.say(f"{workers['']} of {len(specs)} trials were there already")
    said = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    many = number_of(len(specs), "trial")
    console.say(f"{place.at}: {many} ({said}), {place.size():,} bytes, digest {store.digest()}")
    if len(specs) > MOST_SHOWN:
        raise typer.Exit(1 if outcomes["error"] else 0)
    return in_order(store)


def in_order(store: Store) -> list[TrialResult]:
    """All results of a store, by their numbers."""
    return [result for _, result in sorted(results(store), key=lambda each: each[0])]
