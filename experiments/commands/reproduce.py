"""``siplab reproduce``: a stored result run again, and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from siplab.experiments.commands import running, stored
from siplab.experiments.commands.options import Jobs, TrialTimeout
from siplab.experiments.output import console, files, journal
from siplab.experiments.output.progress import TrialProgress
from siplab.experiments.storage import manifest
from siplab.experiments.storage.places import Place
from siplab.experiments.storage.store import Store, digest_of
from siplab.experiments.sweep import again
from siplab.experiments.sweep.again import Stored
from siplab.experiments.sweep.sweep import How
from siplab.experiments.sweep.work import Done
from siplab.experiments.tables import Row, tables
from siplab.experiments.trial import runner
from siplab.experiments.trial.watchdog import TRIAL_TIMEOUT
from siplab.lab.counting import number_of
from siplab.lab.errors import UsageError

app = typer.Typer(add_completion=False)
_MOST_TOLD = 10


@app.command()
def reproduce(
    place: Annotated[
        str,
        typer.Argument(
            metavar="FILE|FOLDER", help="Results: of --parquet, or results.json of --out or --json."
        ),
    ],
    jobs: Jobs = 1,
    trial_timeout: TrialTimeout = TRIAL_TIMEOUT,
) -> None:
    """Run a stored result again and compare, trial by trial.

    Exit status: 0 every trial came out as it is stored, 1 some did not, 2 bad input.
    """
    if is_tables(place):
        store = opened(place)
        trials = again.stored(store)
        with progress(len(trials)) as advance:
            how = How("processes" if jobs > 1 else "local", jobs, limit=trial_timeout)
            world = world_of(store)
            found = again.run_again(trials, world, how, progress=advance, say=console.say)
        then, now, differ = store.digest(), digest_of(found.now), found.differ
    else:
        trials, rows = _of_json(Path(place), jobs, trial_timeout)
        then = digest_of((each.number, "", each.digest) for each in trials)
        now = digest_of((row["trial"], "", row["digest"]) for row in rows)
        differ = tuple(each for each, row in zip(trials, rows, strict=True) if each.digest != row["digest"])
    output = console.output()
    console.print_exact(f"stored:   {then}", output)
    console.print_exact(f"today:    {now}", output)
    say_differences(differ)
    if not differ and then != now:
        console.print_exact(
            f"{number_of(len(trials), 'trial', ',')}, all as stored; keys differ: the lab is not what it was",
            output,
        )
    else:
        console.print_exact(
            f"{number_of(len(trials), 'trial', ',')}, {len(trials) - len(differ):,} as stored", output
        )
    if differ:
        raise typer.Exit(1)


def is_tables(place: str) -> bool:
    """Whether a name is that of a store."""
    return Place(place).is_url or Path(place, manifest.NAME).is_file() or Path(place).name == manifest.NAME


def opened(place: str) -> Store:
    """The store of that name. Raises ``UsageError``."""
    path = Path(place)
    if not Place(place).is_url and path.name == manifest.NAME:
        place = str(path.parent)
    return Store.opened(Place(place))


def world_of(store: Store) -> str:
    """The world of a store's trials, if there is one here. Raises ``CapabilityError``."""
    return running.choose_world(None, store.manifest.world, "as it was")[0]


@contextmanager
def progress(trials: int) -> Iterator[Callable[[Done], None]]:
    """A progress bar for batches."""
    with TrialProgress(trials, console.errors()) as advance:
        yield lambda done: advance(done, done.trials)


def say_differences(differ: Sequence[Stored]) -> None:
    """The trials that came out otherwise, the first of them by name."""
    output = console.output()
    for each in differ[:_MOST_TOLD]:
        console.print_exact(f"trial {each.number} came out otherwise: {each.spec.name}", output, "red")
    if len(differ) > _MOST_TOLD:
        console.print_exact(f"so did {len(differ) - _MOST_TOLD:,} more", output, "red")


def _of_json(path: Path, jobs: int, limit: float) -> tuple[list[Stored], list[Row]]:
    """The trials of a ``results.json``, and the rows of the same run now. It has no changed parts."""
    _, found = stored.load(path)
    name = path / files.RESULTS if path.is_dir() else path
    if not found:
        raise UsageError(f"{name}: there are no trials in it")
    specs = [replace(stored.spec_of(row, name), reach="reach" in row) for row in found]
    before = [journal.from_json(spec, row) for spec, row in zip(specs, found, strict=True)]
    digests = [str(row["digest"]) for row in tables(before)["trials"]]
    world, _ = running.choose_world(None, str(found[0].get("world", "auto")), "as it was")
    with TrialProgress(len(specs), console.errors()) as advance:
        results = runner.run_all(specs, world=world, jobs=jobs, limit=limit, progress=advance)
    trials = [
        Stored(at, spec, "", digest) for at, (spec, digest) in enumerate(zip(specs, digests, strict=True), 1)
    ]
    return trials, tables(results)["trials"]
