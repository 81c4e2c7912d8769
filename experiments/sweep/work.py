"""The work of a worker: run a batch of trials, and write its tables."""

from __future__ import annotations

import os
import platform
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cache

from siplab.experiments.storage.manifest import Manifest
from siplab.experiments.storage.places import Place
from siplab.experiments.storage.store import Store
from siplab.experiments.sweep.chunks import Chunk
from siplab.experiments.tables import tables_of
from siplab.experiments.trial import run as trial
from siplab.experiments.trial import runner, worker
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.sharing import Sharing
from siplab.experiments.trial.watchdog import TRIAL_TIMEOUT


@dataclass(frozen=True)
class Done:
    """A batch that is in the store.

    ``outcomes``: how many trials had which outcome. ``seconds``: CPU time used. ``worker``: the process that
    ran it; empty: it was there already.
    """

    part: int
    trials: int
    outcomes: dict[str, int]
    seconds: float = 0.0
    worker: str = ""


@dataclass(frozen=True)
class Work:
    """How batches are run, and where they are written. Can be pickled."""

    place: Place
    manifest: Manifest
    limit: float = TRIAL_TIMEOUT
    share: bool = True

    def __call__(self, chunk: Chunk) -> Done:
        """Run a batch and write it, unless it is in the store.

        Raises ``UsageError`` for bad input, ``OutputError`` if it can't be written.
        """
        store = Store(self.place, self.manifest)
        if store.has(chunk.part):
            return there(store, chunk.part)
        began = time.process_time()
        numbers = [number for number, _ in chunk.trials]
        results = dict(self._results(chunk))
        self._write(store, chunk, [results[at] for at in range(len(numbers))])
        return _done(chunk, results.values(), time.process_time() - began)

    def give_up(self, chunk: Chunk, reason: str) -> Done:
        """Write a batch whose worker died as invalid trials."""
        results = [TrialResult(spec, self.manifest.world, errors=[reason]) for _, spec in chunk.trials]
        self._write(Store(self.place, self.manifest), chunk, results)
        return _done(chunk, results, 0.0)

    def _write(self, store: Store, chunk: Chunk, results: list[TrialResult]) -> None:
        numbered = zip((number for number, _ in chunk.trials), results, strict=True)
        store.write(chunk.part, tables_of(numbered))

    def _results(self, chunk: Chunk) -> Iterator[tuple[int, TrialResult]]:
        specs = [spec for _, spec in chunk.trials]
        if self.manifest.world == "simulated" and not any(map(trial.plugins_of, specs)):
            _prepare()
            sharing = Sharing()
            for at, spec in enumerate(specs):
                yield at, (sharing.run(spec) if self.share else trial.run(spec))[0]
            return
        # Plug-ins or a kernel take part, so each trial runs in a process that can be ended.
        running = runner.each_result(specs, self.manifest.world, 1, None, self.limit, share=self.share)
        with closing(running) as finished:
            yield from finished


def there(store: Store, part: int) -> Done:
    """A batch that is in the store."""
    outcomes = Counter(each["outcome"] for each in store.rows("trials", ["outcome"], [part]))
    return Done(part, outcomes.total(), dict(outcomes))


@cache
def _prepare() -> None:
    worker.prepare()


def _done(chunk: Chunk, results: Iterable[TrialResult], seconds: float) -> Done:
    outcomes = Counter(each.outcome for each in results)
    return Done(chunk.part, len(chunk.trials), dict(outcomes), seconds, f"{platform.node()}:{os.getpid()}")
