"""Running many trials: which world, how many at a time, and what to do when a worker dies."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from multiprocessing.connection import wait
from typing import Final, Literal, Protocol

from siplab.experiments.trial import worker
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec, is_program, needs_emulated
from siplab.experiments.trial.worker import Store
from siplab.lab.errors import CapabilityError, UsageError
from siplab.lab.worlds.emulated import capability
from siplab.lab.worlds.emulated.bubble import Bubble
from siplab.lab.worlds.emulated.containers import VARIABLE, KeeperProcess
from siplab.lab.worlds.trace import Trace

WorldChoice = Literal["auto", "simulated", "emulated"]
Progress = Callable[[TrialResult], None]
_CHUNK: Final = 8  # trials that a worker gets at once


class Journal(Protocol):
    """Remembers results from one run to the next."""

    def known(self, specs: Sequence[TrialSpec]) -> dict[int, TrialResult]:
        """The results that are there already, by the number of their trial."""

    def add(self, result: TrialResult) -> None:
        """Take a result down at once."""


class InterruptedRunError(Exception):
    """Somebody pressed Ctrl-C: ``results`` were there, of ``total`` trials."""

    def __init__(self, results: list[TrialResult], total: int) -> None:
        super().__init__(f"interrupted after {len(results)} of {total} trials")
        self.results = results
        self.total = total


def choose_world(choice: WorldChoice) -> tuple[str, str]:
    """The world to use, and why. Raises ``CapabilityError`` when ``emulated`` is asked for in vain."""
    if choice == "simulated":
        return "simulated", "asked for"
    obstacle = capability.obstacle()
    if obstacle is None:
        return "emulated", "asked for" if choice == "emulated" else "this machine can"
    if choice == "emulated":
        raise CapabilityError(f"no emulated world here: {obstacle}")
    return "simulated", f"no emulated world here: {obstacle}"


def run_all(
    specs: Sequence[TrialSpec],
    *,
    world: str,
    jobs: int = 1,
    store: Store | None = None,
    progress: Progress = lambda result: None,
    journal: Journal | None = None,
) -> list[TrialResult]:
    """Run every trial; results come back in the order of ``specs``, ``progress`` as they finish.

    ``store`` keeps what trials leave behind. ``journal``: what it knows is not run again, and it gets each
    result as soon as that is there.
    Raises ``InterruptedRunError`` on Ctrl-C, with what was done until then.
    """
    if world == "simulated":
        _refuse_programs(specs)
    if any(spec.gateway == "kernel" for spec in specs):
        require_kernel(world)
    results: dict[int, TrialResult] = {}
    runner = _emulated if world == "emulated" else _simulated
    try:
        if journal is not None:
            results = journal.known(specs)
            for index in sorted(results):
                progress(results[index])
        numbers = [index for index in range(len(specs)) if index not in results]
        # Closing the generator on Ctrl-C ends its workers.
        with closing(runner([specs[index] for index in numbers], jobs, store)) as finished:
            for number, result in finished:
                with _undisturbed():
                    results[numbers[number]] = result
                    if journal is not None:
                        journal.add(result)
                progress(result)
    except KeyboardInterrupt:
        raise InterruptedRunError([results[index] for index in sorted(results)], len(specs)) from None
    return [results[index] for index in range(len(specs))]


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C waits until a result is in both places, or a resumed run would differ from what was kept."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run_traced(spec: TrialSpec, world: str, store: Store | None = None) -> tuple[TrialResult, Trace]:
    """Run one trial and give its trace too."""
    if spec.gateway == "kernel":
        require_kernel(world)
    if world == "simulated":
        _refuse_programs([spec])
        return worker.run_traced(spec, store)
    with ExitStack() as stack:
        bubble = _bubble("siplab.experiments.trial.worker:emulated_traced", [spec], stack)
        try:
            answer: tuple[TrialResult, Trace] = bubble.call(spec, store)
        except EOFError:
            return TrialResult(spec, "emulated", errors=["the trial's process died"]), Trace()
        return answer


def _refuse_programs(specs: Sequence[TrialSpec]) -> None:
    """Raises ``UsageError`` when a program takes part: there is nothing to run it on."""
    for spec in specs:
        if spec.program is not None:
            raise UsageError(needs_emulated(f"detector '{spec.program.id}'"))
        for kind, each in spec.kinds.items():
            if is_program(each):
                raise UsageError(needs_emulated(f"the {kind} '{each}'"))


def require_kernel(world: str) -> None:
    """Raises ``CapabilityError`` when a gateway can't be the kernel's in this world."""
    obstacle = capability.kernel_obstacle()
    if obstacle is None and world == "simulated":
        obstacle = "a kernel is nothing that can be simulated; leave out --world simulated"
    if obstacle is not None:
        raise CapabilityError(f"no gateway 'kernel' here: {obstacle}")


def _simulated(
    specs: Sequence[TrialSpec], jobs: int, store: Store | None
) -> Generator[tuple[int, TrialResult], None, None]:
    if jobs == 1:
        worker.prepare()
        for index, spec in enumerate(specs):
            yield index, worker.run_one(spec, store)
        return
    # Spawned, not forked: a fork of a process with threads (a progress bar) may deadlock.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=worker.simulated_worker) as pool:
        stores = [store] * len(specs)
        # Small enough that an interrupted run loses little, and ends soon.
        chunk = max(1, min(_CHUNK, len(specs) // (jobs * 8)))
        with _no_interruptions():  # here the workers are started
            found = pool.map(worker.run_one, specs, stores, chunksize=chunk)
        yield from enumerate(found)


@contextmanager
def _no_interruptions() -> Iterator[None]:
    """Ctrl-C waits; processes that are started in here inherit that they never see it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _bubble(task: str, specs: Sequence[TrialSpec], stack: ExitStack) -> Bubble:
    """A bubble that ends with ``stack``, and that may run containers if one of ``specs`` needs them."""
    if not any(spec.program is not None and spec.program.needs_containers for spec in specs):
        return stack.enter_context(Bubble(task))
    keeper = stack.enter_context(closing(KeeperProcess()))
    bubble = Bubble(task, descriptors={VARIABLE: keeper.channel.fileno()})
    keeper.channel.close()  # the bubble's from now on: its end is to be the end of the containers
    return stack.enter_context(bubble)


def _emulated(
    specs: Sequence[TrialSpec], jobs: int, store: Store | None
) -> Generator[tuple[int, TrialResult], None, None]:
    with ExitStack() as stack:
        idle = [
            _bubble("siplab.experiments.trial.worker:emulated", specs, stack)
            for _ in range(min(jobs, len(specs)))
        ]
        busy: dict[object, tuple[Bubble, int]] = {}
        waiting = list(enumerate(specs))[::-1]
        while waiting or busy:
            while idle and waiting:
                bubble, (index, spec) = idle.pop(), waiting.pop()
                bubble.connection.send((spec, store))
                busy[bubble.connection] = (bubble, index)
            for connection in wait(list(busy)):  # type: ignore[arg-type]
                bubble, index = busy.pop(connection)
                try:
                    yield index, bubble.result()
                except EOFError:
                    # The worker died: its trial is invalid, the others go on in a new bubble.
                    yield index, TrialResult(specs[index], "emulated", errors=["the trial's process died"])
                    bubble.close()
                    bubble = _bubble("siplab.experiments.trial.worker:emulated", specs, stack)
                idle.append(bubble)
