"""Running trials in a process of their own: the task of emulated bubbles and of simulated workers."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

from siplab.experiments.trial import run as trial
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.gateway.alg import Model
from siplab.lab.worlds.base import World
from siplab.lab.worlds.emulated import bubble, ports
from siplab.lab.worlds.emulated.kernel import KernelLab, KernelWorld, with_alg
from siplab.lab.worlds.emulated.live import LiveWorld
from siplab.lab.worlds.emulated.world import EmulatedLab
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.trace import Trace


class Store(Protocol):
    """Keeps what trials leave behind. It is pickled: the process that runs a trial writes its files."""

    @property
    def folder(self) -> Path:
        """Where the output of outside programs and recordings go, beside what ``keep`` writes."""

    def keep(self, result: TrialResult, trace: Trace) -> None:
        """A trial is over. May add to the result what follows from the trace."""


def prepare() -> None:
    """Settle a process that runs trials and little else.

    Trials leave cyclic garbage of a few hundred objects each: looking for it after every 700
    allocations, Python's default, costs a tenth of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 10, 10)


class EmulatedLabs:
    """The running networks of one bubble: each topology is built once and used again and again."""

    def __init__(self) -> None:
        self._labs: dict[int, EmulatedLab] = {}
        self._kernel_labs: dict[tuple[int, tuple[str, ...]], KernelLab] = {}

    def world(self, network: Network, models: Mapping[str, Model], seed: object) -> World:
        """A world for one trial, on a network that is up."""
        return self._lab(network).trial(models, seed)

    def live(self, network: Network, models: Mapping[str, Model], seed: object) -> World:
        """The same by the wall clock, for programs."""
        return LiveWorld(self._lab(network), models, seed)

    def kernel(self, network: Network, models: Mapping[str, Model], seed: object) -> World:
        """The same with gateways of the kernel's own, by the wall clock."""
        key = id(network), tuple(with_alg(models))
        lab = self._kernel_labs.get(key)
        if lab is None:
            lab = self._kernel_labs[key] = KernelLab(network, key[1])
        return KernelWorld(lab, seed)

    def run(self, spec: TrialSpec, store: Store | None) -> tuple[TrialResult, Trace]:
        """Run a trial in the kind of world that it needs, on a network that no other trial has spoilt."""
        by_kernel = spec.gateway == "kernel"
        make = self.kernel if by_kernel else self.live if spec.by_wall_clock else self.world
        result, trace = run_traced(spec, store, make)
        self.release(trial.network_of(spec), spoilt=bool(result.errors), worn=spec.by_wall_clock)
        return result, trace

    def release(self, network: Network, *, spoilt: bool, worn: bool) -> None:
        """A trial is over. ``spoilt``: it is invalid; ``worn``: programs took part in it."""
        if spoilt or (worn and self._worn(network)):
            self.discard(network)

    def discard(self, network: Network) -> None:
        """Take a network down: something went wrong on it, and the next trial wants a clean one."""
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
        """Whether programs left TCP something to do: it would show in another trial."""
        labs = [
            self._labs.get(id(network)),
            *(lab for key, lab in self._kernel_labs.items() if key[0] == id(network)),
        ]
        return any(
            ports.has_connections(lab.fabric.namespaces[host])
            for lab in labs
            if lab is not None
            for host in network.topology.hosts
        )


def simulated_worker() -> None:
    """Settle a worker process: it leaves Ctrl-C to the one that started it, and ends with that one."""
    prepare()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def emulated(connection: Connection) -> None:
    """Task of a bubble: answers ``(spec, store or None)`` with a ``TrialResult``."""
    prepare()
    # A terminal's Ctrl-C reaches this process too, and is not for it. Programs would inherit SIG_IGN.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    labs = EmulatedLabs()
    with suppress(ConnectionError):  # an interrupted run does not wait for the answer
        bubble.serve(connection, lambda spec, store: labs.run(spec, store)[0])


def emulated_traced(connection: Connection) -> None:
    """The same, answering with the trace beside the result."""
    labs = EmulatedLabs()
    bubble.serve(connection, labs.run)


def run_one(
    spec: TrialSpec, store: Store | None, make_world: trial.WorldMaker = trial.simulated
) -> TrialResult:
    """Run a trial, and have it kept in ``store``."""
    return run_traced(spec, store, make_world)[0]


def run_traced(
    spec: TrialSpec, store: Store | None, make_world: trial.WorldMaker = trial.simulated
) -> tuple[TrialResult, Trace]:
    """The same, giving the trace too."""
    if store is None:
        return trial.run(spec, make_world)
    stem = store.folder / spec.stem
    result, trace = trial.run(spec, make_world, stem.with_name(f"{stem.name}.programs"), stem)
    store.keep(result, trace)
    return result, trace
