"""Runs batches in this process, in several processes of this machine, or on a cluster.

The rules of this file:

- A worker writes its batches itself; it returns only counts.
- If a worker dies, the batches under way are run again, each alone, so that no other batch is blamed. If a
  batch's worker dies again, the batch's trials are invalid.
- Few batches are under way at a time, so memory does not grow with their number.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Final, Literal

from siplab.experiments.sweep.chunks import Chunk
from siplab.experiments.sweep.work import Done, Work
from siplab.lab import interrupts
from siplab.lab.counting import number_of

Executor = Literal["local", "processes", "dask"]
Say = Callable[[str], None]
DIED: Final = "the worker that ran it died, and another one too"
_AHEAD: Final = 2  # batches for each process, so that none has to wait for its next batch


def local(work: Work, chunks: Iterable[Chunk]) -> Generator[Done, None, None]:
    """One batch after the other, in this process."""
    yield from map(work, chunks)


def processes(work: Work, chunks: Iterable[Chunk], jobs: int, say: Say) -> Generator[Done, None, None]:
    """Run batches in ``jobs`` processes of this machine. Yields each as it ends.

    ``say`` is told if a process dies.
    """
    waiting = iter(chunks)
    while True:
        lost: list[Chunk] = []
        yield from _pool(work, waiting, jobs, jobs * _AHEAD, lost)
        if not lost:
            return
        say(f"a worker died; run again: {number_of(len(lost), 'batch')} that it had under way")
        suspects = iter(lost)
        culprit = lost[:1]
        while culprit:
            culprit = []
            yield from _pool(work, suspects, 1, 1, culprit)
            for chunk in culprit:
                many = number_of(len(chunk.trials), "trial")
                say(f"batch {chunk.part} ended its worker twice: {many} invalid")
                yield work.give_up(chunk, DIED)


def _pool(
    work: Work, waiting: Iterator[Chunk], jobs: int, most: int, lost: list[Chunk]
) -> Generator[Done, None, None]:
    """Run batches in a pool until none is left or a process dies. ``lost``: the batches under way then.

    ``most``: how many batches are given to the pool at a time.
    """
    running: dict[Future[Done], Chunk] = {}
    # Not forked, because the libraries of this process have threads.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(os.getpid(),))
    try:
        while True:
            for chunk in islice(waiting, most - len(running)):
                running[pool.submit(work, chunk)] = chunk
            if not running:
                return
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for each in ended:
                chunk = running.pop(each)
                try:
                    done = each.result()
                except BrokenProcessPool:
                    lost.append(chunk)
                else:
                    yield done
            if lost:
                lost.extend(running.values())
                return
    except BrokenProcessPool:  # it broke before it took the last batch
        lost.extend(running.values())
    finally:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(cancel_futures=True)


def _begin(parent: int) -> None:
    """Prepare a worker: it leaves Ctrl-C to its parent, and ends with it."""
    interrupts.leave_to_parent()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        from siplab.lab.worlds.emulated import namespaces

        namespaces.die_with_parent(parent)
