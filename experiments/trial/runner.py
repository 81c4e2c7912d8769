"""Runs many trials: which world, how many at a time, and what happens if a worker dies."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Literal, Protocol

from siplab.experiments.trial import processes, registry, worker
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.process import TrialProcess
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.sharing import Sharing, setting_of
from siplab.experiments.trial.spec import TrialSpec, is_program, needs_emulated
from siplab.experiments.trial.watchdog import TRIAL_TIMEOUT
from siplab.experiments.trial.worker import Store
from siplab.lab import interrupts
from siplab.lab.errors import CapabilityError, UsageError
from siplab.lab.worlds.emulated import capability, containers
from siplab.lab.worlds.emulated.bubble import Bubble
from siplab.lab.worlds.trace import Trace

WorldChoice = Literal["auto", "simulated", "emulated"]
Progress = Callable[[TrialResult], None]


class Journal(Protocol):
    """Remembers results from one run to the next."""

    def known(self, specs: Sequence[TrialSpec]) -> dict[int, TrialResult]:
        """The results that are already there, by the number of their trial."""

    def add(self, result: TrialResult) -> None:
        """Record a result at once."""


class InterruptedRunError(Exception):
    """The user pressed Ctrl-C. ``results``: those that were there, of ``total`` trials."""

    def __init__(self, results: list[TrialResult], total: int) -> None:
        super().__init__(f"interrupted after {len(results)} of {total} trials")
        self.results = results
        self.total = total


def choose_world(choice: WorldChoice) -> tuple[str, str]:
    """The world to use, and why. Raises ``CapabilityError`` if ``emulated`` is asked for and not possible."""
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
    limit: float = TRIAL_TIMEOUT,
    share: bool = True,
) -> list[TrialResult]:
    """Run every trial. Results are in the order of ``specs``; ``progress`` gets each one as it finishes.

    ``store`` keeps what trials leave behind. ``journal``: trials that it knows are not run again, and it gets
    each result as soon as that is there. ``limit``: seconds of CPU after which a trial is ended, if it runs
    in a process of its own: with plug-ins, in the emulated world, or with ``jobs``. ``share``: simulated
    trials with the same outcome are run once (``trial.sharing``), unless ``store`` records the sound of each.
    Raises ``InterruptedRunError`` on Ctrl-C, with the results until then.
    """
    _check_programs(specs, world)
    if any(spec.gateway == "kernel" for spec in specs):
        require_kernel(world)
    results: dict[int, TrialResult] = {}
    try:
        if journal is not None:
            results = journal.known(specs)
            for index in sorted(results):
                progress(results[index])
        numbers = [index for index in range(len(specs)) if index not in results]
        if share and worker.may_share(store):
            # Trials that may share a run stand next to each other, so that few trees are needed at a time.
            first = {setting_of(spec): at for at, spec in reversed(list(enumerate(specs)))}
            numbers.sort(key=lambda index: first[setting_of(specs[index])])
        # Closing the generator on Ctrl-C ends its processes.
        running = each_result([specs[index] for index in numbers], world, jobs, store, limit, share=share)
        with interrupts.watched(), closing(running) as finished:
            for number, result in finished:
                with _undisturbed():
                    results[numbers[number]] = result
                    if journal is not None:
                        journal.add(result)
                progress(result)
                interrupts.check()
    except KeyboardInterrupt:
        raise InterruptedRunError([results[index] for index in sorted(results)], len(specs)) from None
    return [results[index] for index in range(len(specs))]


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Delay Ctrl-C until a result is in store and journal, so that a resumed run has the same results."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run_traced(
    spec: TrialSpec, world: str, store: Store | None = None, *, limit: float = TRIAL_TIMEOUT
) -> tuple[TrialResult, Trace]:
    """Run one trial and return its trace, too. ``limit``: as for ``run_all``, if the trial has plug-ins."""
    _check_programs([spec], world)
    if spec.gateway == "kernel":
        require_kernel(world)
    with interrupts.watched():
        if world == "simulated":
            if trial.plugins_of(spec) and processes.can_be_watched():
                return processes.simulated_traced(spec, store, limit)
            return worker.run_traced(spec, store)
        with ExitStack() as stack:
            bubble = _bubble([spec], stack)
            return processes.traced(spec, bubble, world, store, limit)[:2]


def _check_programs(specs: Sequence[TrialSpec], world: str) -> None:
    """Raises ``UsageError`` if a trial needs a program that is missing, or that nothing can run."""
    if world == "simulated":
        _refuse_programs(specs)
        return
    for detector in dict.fromkeys(spec.program for spec in specs):
        if detector is not None:
            detector.require()
    require_programs(dict.fromkeys(pair for spec in specs for pair in spec.kinds.items()))


def _refuse_programs(specs: Sequence[TrialSpec]) -> None:
    """Raises ``UsageError`` if a program takes part: there is nothing to run it on."""
    for spec in specs:
        if spec.program is not None:
            raise UsageError(needs_emulated(f"detector '{spec.program.id}'"))
        if spec.has_images:
            raise UsageError(needs_emulated(f"an image of topology '{spec.topology}'"))
        for kind, each in spec.kinds.items():
            if is_program(each):
                raise UsageError(needs_emulated(f"the {kind} '{each}'"))


def require_programs(kinds: Iterable[tuple[str, str]]) -> None:
    """Raises ``UsageError`` if one of ``kinds`` (role and kind) is a program that this machine lacks."""
    for role, kind in kinds:
        if is_program(kind):
            registry.program(kind, "server" if role == "server" else "phone").require()


def require_kernel(world: str) -> None:
    """Raises ``CapabilityError`` if a gateway can't be the kernel's in this world."""
    obstacle = capability.kernel_obstacle()
    if obstacle is None and world == "simulated":
        obstacle = "a kernel is nothing that can be simulated; leave out --world simulated"
    if obstacle is not None:
        raise CapabilityError(f"no gateway 'kernel' here: {obstacle}")


def _bubble(specs: Sequence[TrialSpec], stack: ExitStack) -> Bubble:
    """A bubble that ends with ``stack``. It may run containers if one of ``specs`` needs them."""
    needed = any(
        spec.has_images or (spec.program is not None and spec.program.needs_containers) for spec in specs
    )
    return stack.enter_context(containers.bubble("siplab.experiments.trial.worker:emulated", needed=needed))


def each_result(
    specs: Sequence[TrialSpec], world: str, jobs: int, store: Store | None, limit: float, *, share: bool
) -> Generator[tuple[int, TrialResult], None, None]:
    """Number and result of each trial, as it ends. Closing the generator ends its processes."""
    if world == "emulated":
        with ExitStack() as stack:
            yield from processes.side_by_side(
                specs, lambda: _bubble(specs, stack), world, jobs=jobs, store=store, limit=limit
            )
        return
    watched = processes.can_be_watched() and (jobs > 1 or any(map(trial.plugins_of, specs)))
    if not watched:
        worker.prepare()
        sharing = Sharing(traces=store is not None)
        share = share and worker.may_share(store)
        for index, spec in enumerate(specs):
            yield index, worker.run_shared(spec, store, sharing) if share else worker.run_one(spec, store)
        return
    yield from processes.side_by_side(
        specs, TrialProcess, world, jobs=jobs, store=store, limit=limit, ahead=processes.AHEAD, share=share
    )
