"""Running trials in a process of their own: the task of emulated bubbles and of simulated workers."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path

from experiments import trial
from experiments.output import files
from experiments.trial import TrialResult, TrialSpec
from lab.gateway.alg import Model
from lab.worlds.base import World
from lab.worlds.emulated import bubble
from lab.worlds.emulated.world import EmulatedLab
from lab.worlds.network import Network
from lab.worlds.trace import Trace


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

    def world(self, network: Network, models: Mapping[str, Model], seed: object) -> World:
        """A world for one trial, on a network that is up."""
        lab = self._labs.get(id(network))
        if lab is None:
            lab = self._labs[id(network)] = EmulatedLab(network)
        return lab.trial(models, seed)

    def discard(self, network: Network) -> None:
        """Take a network down: something went wrong on it, and the next trial wants a clean one."""
        lab = self._labs.pop(id(network), None)
        if lab is not None:
            lab.close()


def emulated(connection: Connection) -> None:
    """Task of a bubble: answers ``(spec, folder or None)`` with a ``TrialResult``."""
    prepare()
    labs = EmulatedLabs()

    def handle(spec: TrialSpec, folder: Path | None) -> TrialResult:
        result = run_one(spec, folder, labs.world)
        if result.errors:
            labs.discard(trial.network(spec.topology))
        return result

    bubble.serve(connection, handle)


def emulated_traced(connection: Connection) -> None:
    """The same, answering with the trace beside the result."""
    labs = EmulatedLabs()
    bubble.serve(connection, lambda spec, folder: run_traced(spec, folder, labs.world))


def run_one(
    spec: TrialSpec, folder: Path | None, make_world: trial.WorldMaker = trial.simulated
) -> TrialResult:
    """Run a trial, and write its trace and capture into ``folder``."""
    return run_traced(spec, folder, make_world)[0]


def run_traced(
    spec: TrialSpec, folder: Path | None, make_world: trial.WorldMaker = trial.simulated
) -> tuple[TrialResult, Trace]:
    """The same, giving the trace too."""
    result, trace = trial.run(spec, make_world)
    if folder is not None:
        files.write_trial(folder, result, trace)
    return result, trace
