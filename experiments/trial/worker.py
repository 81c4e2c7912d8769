"""Runs trials in a process of their own: the task of bubbles, and of processes for simulated trials."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from siplab.experiments.trial import run as trial
from siplab.experiments.trial.recording import Audio, Recorder
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.sharing import Sharing
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab import foreign, interrupts, plugins
from siplab.lab.errors import OutputError
from siplab.lab.gateway.alg import Model
from siplab.lab.worlds.base import World
from siplab.lab.worlds.emulated import bubble, ports
from siplab.lab.worlds.emulated.kernel import KernelLab, KernelWorld, with_alg
from siplab.lab.worlds.emulated.live import LiveWorld
from siplab.lab.worlds.emulated.world import EmulatedLab
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.trace import Trace

READY: Final = "ready"
# Seconds that a thread left behind by a trial gets to end.
_MOMENT: Final = 0.1


class Store(Protocol):
    """Keeps what trials leave behind. It is pickled: the process that runs a trial writes its files."""

    @property
    def folder(self) -> Path:
        """The folder for outside programs' output and for recordings, besides what ``keep`` writes."""

    @property
    def audio(self) -> Audio | None:
        """How much of each call is recorded; ``None``: nothing."""

    def keep(self, result: TrialResult, trace: Trace) -> None:
        """A trial is over. May add to the result what follows from the trace."""


def prepare() -> None:
    """Tune the garbage collection of a process that does little but run trials.

    Each trial leaves a few hundred objects of cyclic garbage. Python looks for garbage after every 700
    allocations by default, which costs a tenth of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 10, 10)


class EmulatedLabs:
    """The running networks of one bubble. Each topology is built once and used again."""

    def __init__(self) -> None:
        self._labs: dict[int, EmulatedLab] = {}
        self._kernel_labs: dict[tuple[int, tuple[str, ...]], KernelLab] = {}

    def world(self, network: Network, models: Mapping[str, Model], seed: object) -> World:
        """A world for one trial, on a running network."""
        return self._lab(network).trial(models, seed)

    def live(
        self, network: Network, models: Mapping[str, Model], seed: object, *, thorough: bool = True
    ) -> World:
        """The same with the wall clock, for programs. ``thorough``: they may change more than processes."""
        lab = self._lab(network)
        lab.remember(thorough=thorough)
        return LiveWorld(lab, models, seed)

    def kernel(
        self, network: Network, models: Mapping[str, Model], seed: object, *, thorough: bool = True
    ) -> World:
        """The same with the kernel as gateway, with the wall clock."""
        key = id(network), tuple(with_alg(models))
        lab = self._kernel_labs.get(key)
        if lab is None:
            lab = self._kernel_labs[key] = KernelLab(network, key[1])
        lab.remember(thorough=thorough)
        return KernelWorld(lab, seed)

    def run(self, spec: TrialSpec, store: Store | None) -> tuple[TrialResult, Trace]:
        """Run a trial in the kind of world that it needs, on a network that no other trial has changed."""
        by_kernel = spec.gateway == "kernel"
        # A phone or a server does not change its network; a detector's programs may.
        thorough = spec.program is not None and spec.program.may_change_networks
        make: trial.WorldMaker = self.world
        if by_kernel or spec.by_wall_clock:
            make = partial(self.kernel if by_kernel else self.live, thorough=thorough)
        result, trace = run_traced(spec, store, make)
        # What a container did to its network can't be undone.
        spoilt = bool(result.errors) or spec.has_images
        self.release(trial.network_of(spec), spoilt=spoilt, worn=spec.by_wall_clock)
        return result, trace

    def release(self, network: Network, *, spoilt: bool, worn: bool) -> None:
        """A trial is over. ``spoilt``: the network can't be used again; ``worn``: programs took part."""
        if spoilt or (worn and self._worn(network)):
            self.discard(network)

    def discard(self, network: Network) -> None:
        """Take a network down, since it is no longer clean. The next trial gets a new one."""
        lab = self._labs.pop(id(network), None)
        if lab is not None:
            lab.close()
        for key in [key for key in self._kernel_labs if key[0] == id(network)]:
            self._kernel_labs.pop(key).close()

    def _lab(self, network: Network) -> EmulatedLab:
        lab = self._labs.get(id(network))
        if lab is None:
            lab = self._labs[id(network)] = EmulatedLab(network)
        return lab

    def _worn(self, network: Network) -> bool:
        """Whether programs changed the network, or TCP connections are left. Another trial would notice."""
        labs = [
            self._labs.get(id(network)),
            *(lab for key, lab in self._kernel_labs.items() if key[0] == id(network)),
        ]
        return any(
            lab.changed()
            or any(ports.has_connections(lab.fabric.namespaces[host]) for host in network.topology.hosts)
            for lab in labs
            if lab is not None
        )


class Request(NamedTuple):
    """A trial to run. ``traced``: the trace is wanted, too. ``share``: see ``trial.sharing``."""

    spec: TrialSpec
    store: Store | None = None
    traced: bool = False
    share: bool = False


class Answer(NamedTuple):
    """The answer to a request. ``spoilt``: something from the trial is still active in the process."""

    result: TrialResult
    trace: Trace | None
    spoilt: bool


Runner = Callable[[Request], tuple[TrialResult, Trace]]


def serve(connection: Connection, run: Runner, kind: str, spoilt: Callable[[], bool] = lambda: False) -> None:
    """Answer each ``Request`` with an ``Answer`` until the parent closes the connection.

    ``kind``: of the world. ``spoilt``: whether what trials share in this process has changed.
    """
    prepare()
    plugins.import_at_once()

    def answer(*request: Any) -> Answer:
        wanted = Request(*request)
        threads = set(threading.enumerate())
        result, trace = _surviving(wanted, run, kind)
        left = [each for each in threading.enumerate() if each not in threads and not _ends(each)]
        if left:
            names = ", ".join(foreign.one_line(str(each.name)) for each in left)
            result.errors.append(f"it left a thread behind: {names}")
        return Answer(result, trace if wanted.traced else None, bool(left) or spoilt())

    with suppress(ConnectionError):  # an interrupted run does not wait for the answer
        bubble.serve(connection, answer)


def _surviving(wanted: Request, run: Runner, kind: str) -> tuple[TrialResult, Trace]:
    """Run a trial. Whatever a plug-in does to the lab's own objects, only this trial is invalid."""
    try:
        return run(wanted)
    except OutputError:
        raise
    except BaseException as error:
        if not trial.plugins_of(wanted.spec):
            raise
        return TrialResult(wanted.spec, kind, errors=[foreign.told(error)]), Trace()


def _ends(thread: threading.Thread) -> bool:
    """Whether a thread ends by itself, if given a moment."""
    thread.join(_MOMENT)
    return not thread.is_alive()


def simulated(connection: Connection) -> None:
    """Task of a process for simulated trials. It begins with ``READY``."""
    connection.send(READY)
    sharing: Sharing | None = None

    def run(wanted: Request) -> tuple[TrialResult, Trace]:
        nonlocal sharing
        if wanted.share and may_share(wanted.store) and not wanted.traced:
            sharing = sharing or Sharing(traces=wanted.store is not None)
            return run_shared(wanted.spec, wanted.store, sharing), Trace()
        return run_traced(wanted.spec, wanted.store)

    serve(connection, run, "simulated")


def emulated(connection: Connection) -> None:
    """Task of a bubble."""
    # A terminal's Ctrl-C reaches this process too, but is meant for the parent.
    interrupts.leave_to_parent()
    mounts = _mounts()
    labs = EmulatedLabs()
    serve(
        connection,
        lambda wanted: labs.run(wanted.spec, wanted.store),
        "emulated",
        lambda: _mounts() != mounts,
    )


def _mounts() -> str:
    """What is mounted in the bubble: a privileged program can change that."""
    return Path("/proc/self/mountinfo").read_text(encoding="utf-8")


def run_one(
    spec: TrialSpec, store: Store | None, make_world: trial.WorldMaker = trial.simulated
) -> TrialResult:
    """Run a trial and keep it in ``store``."""
    return run_traced(spec, store, make_world)[0]


def may_share(store: Store | None) -> bool:
    """Whether trials may be shared (``trial.sharing``): a trial that is not run can't be recorded."""
    return store is None or store.audio is None


def run_shared(spec: TrialSpec, store: Store | None, sharing: Sharing) -> TrialResult:
    """Run a trial unless a shared result is there; keep it. With a ``store``, ``sharing`` has ``traces``."""
    result, trace = sharing.run(spec)
    if store is not None:
        assert trace is not None
        store.keep(result, trace)
        result.course = ""  # stored results have no digest, so a resumed run would know fewer of them
    return result


def run_traced(
    spec: TrialSpec, store: Store | None, make_world: trial.WorldMaker = trial.simulated
) -> tuple[TrialResult, Trace]:
    """The same, with the trace."""
    if store is None:
        return trial.run(spec, make_world)
    stem = store.folder / spec.stem
    programs = stem.with_name(f"{stem.name}.programs")
    recorder = None if store.audio is None else Recorder(stem, store.audio)
    result, trace = trial.run(spec, make_world, programs, recorder)
    store.keep(result, trace)
    return result, trace
