"""Batches on a cluster, by Dask distributed (https://distributed.dask.org)."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Generator, Iterable
from contextlib import ExitStack
from functools import partial
from itertools import islice
from typing import Any, Final

from siplab.experiments.sweep.chunks import Chunk
from siplab.experiments.sweep.executors import DIED, Say
from siplab.experiments.sweep.work import Done, Work
from siplab.experiments.tables.libraries import needed
from siplab.lab.counting import number_of
from siplab.lab.errors import UsageError

_AHEAD: Final = 2  # batches for each thread of a worker
_WAIT: Final = "20s"  # for the scheduler to answer


def dask(
    work: Work, chunks: Iterable[Chunk], jobs: int, scheduler: str, say: Say
) -> Generator[Done, None, None]:
    """On the workers of a scheduler, or of ``jobs`` that are started here; batches come back as they end.

    A batch whose worker dies is given to another one; one that ends three of them is invalid.
    Raises ``CapabilityError`` where Dask is not installed, ``UsageError`` where no scheduler answers.
    """
    distributed = needed("distributed", "--executor dask", "scale")
    logging.getLogger("distributed").setLevel(logging.ERROR)  # what matters is said
    with ExitStack() as stack:
        client = stack.enter_context(_client(distributed, work, jobs, scheduler, stack))
        yield from _given_out(distributed, client, work, chunks, say)


def _client(distributed: Any, work: Work, jobs: int, scheduler: str, stack: ExitStack) -> Any:
    if scheduler:
        try:
            return distributed.Client(scheduler, timeout=_WAIT)
        except (OSError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise UsageError(
                f"--scheduler {scheduler}: no scheduler of Dask answers there ({reason})"
            ) from None
    cluster = stack.enter_context(
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            # What is in this process's memory no other sees.
            processes=work.place.is_shared,
            dashboard_address=":0",  # whichever port is free
            silence_logs=50,
        )
    )
    cluster.adapt(minimum=1, maximum=jobs)
    return distributed.Client(cluster)


def _given_out(
    distributed: Any, client: Any, work: Work, chunks: Iterable[Chunk], say: Say
) -> Generator[Done, None, None]:
    waiting = iter(chunks)
    asked: dict[str, Chunk] = {}
    ended = distributed.as_completed()
    lost: deque[str] = deque()
    client.subscribe_topic("all", partial(_noted, lost))

    def ask(most: int) -> None:
        for chunk in islice(waiting, most):
            future = client.submit(work, chunk, key=f"{work.manifest.plan}-{chunk.part}", pure=False)
            asked[future.key] = chunk
            ended.add(future)

    try:
        ask(1)
        while asked:
            future = next(ended)
            chunk = asked.pop(future.key)
            try:
                yield future.result()
            except distributed.KilledWorker:
                say(f"batch {chunk.part} ended its workers: {number_of(len(chunk.trials), 'trial')} invalid")
                yield work.give_up(chunk, DIED)
            future.release()
            while lost:
                say(f"worker {lost.popleft()} is gone; what it had under way is run by another one")
            threads = sum(client.nthreads().values())
            ask(max(1, _AHEAD * threads) - len(asked))
    finally:
        client.unsubscribe_topic("all")  # or the scheduler tells a client that is gone that it is gone


def _noted(lost: deque[str], event: tuple[float, Any]) -> None:
    """Take down a worker that went away with work to do, which one that is no longer needed has not."""
    told = event[1]
    if isinstance(told, dict) and told.get("action") == "remove-worker" and told.get("processing-tasks"):
        lost.append(str(told.get("worker", "")))
