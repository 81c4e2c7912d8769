"""Runs batches on a cluster, with Dask distributed (https://distributed.dask.org)."""

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
_WAIT: Final = "20s"  # how long to wait for the scheduler's answer


def dask(
    work: Work, chunks: Iterable[Chunk], jobs: int, scheduler: str, say: Say
) -> Generator[Done, None, None]:
    """Run batches on the workers of a scheduler, or on ``jobs`` workers started here. Yields each as it ends.

    If a worker dies, another one gets its batch. A batch whose workers die three times is invalid. Raises
    ``CapabilityError`` if Dask is not installed, ``UsageError`` if no scheduler answers.
    """
    distributed = needed("distributed", "--executor dask", "scale")
    logging.getLogger("distributed").setLevel(logging.ERROR)  # what matters is reported by ``say``
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
            # Other processes can't see what is in this process's memory.
            processes=work.place.is_shared,
            dashboard_address=":0",  # any free port
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
        client.unsubscribe_topic("all")  # else the scheduler reports to a client that no longer exists


def _noted(lost: deque[str], event: tuple[float, Any]) -> None:
    """Note a worker that ended with tasks to do. One that was no longer needed had none."""
    told = event[1]
    if isinstance(told, dict) and told.get("action") == "remove-worker" and told.get("processing-tasks"):
        lost.append(str(told.get("worker", "")))
