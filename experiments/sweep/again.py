"""Runs stored trials again: all of them, or those whose results may have changed.

The rules of this file:

- Results are compared trial by trial, by the digests of their outcomes.
- If an input changed (a model, a topology, a scenario...), all trials that name it are run again.
- If only the engine changed, any trial may differ and few will. So a sample is run, drawn with a seed, and
  the share of it that differs decides.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from siplab.experiments.storage.places import Place
from siplab.experiments.storage.results import spec_of
from siplab.experiments.storage.store import Store
from siplab.experiments.sweep.executors import Say
from siplab.experiments.sweep.sweep import How, manifest_of, sweep
from siplab.experiments.sweep.work import Done
from siplab.experiments.tables import Row
from siplab.experiments.tables.inputs import engine, inputs_of
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError

SAMPLE: Final = 200
"""Trials that are run again if only the engine changed. If none of them differs, fewer than one trial in
fifty differs, with 95 % confidence.
"""


@dataclass(frozen=True)
class Stored:
    """A stored trial: its number, its spec, and a digest of its outcome."""

    number: int
    spec: TrialSpec
    key: str
    digest: str


@dataclass(frozen=True)
class Compared:
    """Trials that were run again.

    ``now``: number, key and digest of each; ``differ``: those with another outcome.
    """

    now: tuple[tuple[int, str, str], ...]
    differ: tuple[Stored, ...]


Progress = Callable[[Done], None]


def stored(store: Store) -> list[Stored]:
    """All trials of a store, by number. Raises ``UsageError`` if the store is not complete."""
    rows = sorted(store.rows("trials"), key=lambda row: int(row["trial"]))
    if len(rows) != store.manifest.trials:
        raise UsageError(
            f"{store.place.at}: {len(rows):,} of {store.manifest.trials:,} trials are there: "
            "go on with the run first (--resume)"
        )
    return [_stored(row, store) for row in rows]


def _stored(row: Row, store: Store) -> Stored:
    return Stored(row["trial"], spec_of(row, store.manifest), row["key"], row["digest"])


def run_again(
    trials: Sequence[Stored],
    world: str,
    how: How,
    *,
    progress: Progress = lambda done: None,
    say: Say = lambda text: None,
) -> Compared:
    """Run these trials, and compare. Raises ``UsageError`` if one names something that no longer exists."""
    specs = [each.spec for each in trials]
    with tempfile.TemporaryDirectory(prefix="siplab-") as folder:
        manifest = manifest_of("again", world, specs)
        store = sweep(specs, Place(folder), manifest, how, progress=progress, say=say)
        rows = sorted(store.rows("trials", ["trial", "key", "digest"]), key=lambda row: int(row["trial"]))
    now = tuple(
        (each.number, str(row["key"]), str(row["digest"])) for each, row in zip(trials, rows, strict=True)
    )
    differ = tuple(each for each, row in zip(trials, now, strict=True) if each.digest != row[2])
    return Compared(now, differ)


# -- what may be answered differently today -----------------------------------------------------------


@dataclass(frozen=True)
class Outlook:
    """Which trials of a store may have another outcome now.

    ``changed``: kind and name of the inputs that changed. ``affected``: the trials that name one of them.
    ``gone``: the trials that name something that no longer exists, and why. ``others``: the rest.
    ``engine_changed``: the lab itself changed.
    """

    changed: tuple[tuple[str, str], ...]
    affected: tuple[Stored, ...]
    gone: tuple[tuple[Stored, str], ...]
    others: tuple[Stored, ...]
    engine_changed: bool


def outlook(store: Store) -> Outlook:
    """Compare the inputs of a store's trials with the same inputs as they are now."""
    then = store.manifest.inputs
    changed: dict[tuple[str, str], None] = {}
    affected, gone, others = list[Stored](), list[tuple[Stored, str]](), list[Stored]()
    for each in stored(store):
        try:
            inputs = inputs_of(each.spec)
        except UsageError as error:
            gone.append((each, str(error)))
            continue
        new = [named for named, digest in inputs.items() if then.get(named[0], {}).get(named[1]) != digest]
        changed |= dict.fromkeys(new)
        (affected if new else others).append(each)
    return Outlook(
        tuple(sorted(changed)),
        tuple(affected),
        tuple(gone),
        tuple(others),
        store.manifest.engine != engine(),
    )


def sample(trials: Sequence[Stored], size: int, seed: int) -> list[Stored]:
    """A sample of the trials, in their order. The same seed gives the same sample."""
    if len(trials) <= size:
        return list(trials)
    chosen = random.Random(f"verify {seed}").sample(range(len(trials)), size)
    return [trials[at] for at in sorted(chosen)]
