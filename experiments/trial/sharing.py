"""Runs trials that must come out alike only once, without approximation.

A trial's world does not depend on the model. So two trials that differ only in the model are identical as
long as their gateways answer alike: to every packet, when asked for the next timer, and at every reboot. For
each setting, a tree keeps what gateways were asked and what they answered. The gateways of a new model are
asked the same questions. If they give the same answers as in an earlier trial, that trial's result is theirs,
too. At the first other answer the trial is run as usual, and the tree grows.

A model draws its random numbers in the same order from the same generator, so random models share as well.
Trials that do not follow from the spec alone are not shared; see ``Sharing.applies``.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from siplab.alg_models import profiles
from siplab.experiments.trial import reach
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec, seed_of
from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.gateway import Emission, Gateway, Side
from siplab.lab.worlds.base import World, make_gateways
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.simulated import SimulatedWorld
from siplab.lab.worlds.trace import Trace

_MOST_STEPS: Final = 200_000  # kept, of all settings together: some 300 MB


class _Question(NamedTuple):
    """What a world asks a gateway."""

    gateway: str
    method: str
    arguments: tuple[Any, ...]

    def put(self, gateway: Any) -> Any:
        """Ask the gateway. The answer can be compared and never changes."""
        answer = getattr(gateway, self.method)(*self.arguments)
        return tuple(answer) if isinstance(answer, list) else answer


class _Heard:
    """A gateway whose answers are recorded. It offers only what worlds ask for."""

    def __init__(self, name: str, gateway: Gateway, log: list[tuple[_Question, Any]]) -> None:
        self._name, self._gateway, self._log = name, gateway, log

    def _ask(self, method: str, *arguments: Any) -> Any:
        question = _Question(self._name, method, arguments)
        answer = question.put(self._gateway)
        self._log.append((question, answer))
        return answer

    def handle(self, packet: bytes, side: Side, now: float) -> list[Emission]:
        return list(self._ask("handle", packet, side, now))

    def next_end(self, now: float) -> float:
        end: float = self._ask("next_end", now)
        return end

    def reboot(self) -> None:
        self._ask("reboot")

    @property
    def later(self) -> str:
        return self._gateway.later  # the same for all models

    def renumber(self) -> None:
        self._ask("renumber")


@dataclass(slots=True, eq=False)
class _Node:
    """A point up to which trials were alike: what a gateway is asked next, and where each answer leads."""

    question: _Question | None = None
    ways: dict[Any, _Node] = field(default_factory=dict)
    end: tuple[TrialResult, Trace | None] | None = None


@dataclass(slots=True, eq=False)
class _Tree:
    root: _Node = field(default_factory=_Node)
    steps: int = 0


def setting_of(spec: TrialSpec) -> TrialSpec:
    """What trials that may share a run have in common: everything but the model."""
    return replace(spec, model="")


class Sharing:
    """The trials that were run, as one tree for each setting. ``ran`` and ``shared`` count trials.

    ``traces``: whether shared trials have a trace, too. That doubles the memory needed.
    """

    def __init__(self, *, traces: bool = False) -> None:
        self._traces = traces
        self._trees: OrderedDict[TrialSpec, _Tree] = OrderedDict()
        self.ran = self.shared = 0

    @staticmethod
    def applies(spec: TrialSpec) -> bool:
        """Whether a trial may be shared: its outcome must follow from its spec alone.

        It does not if a program, the kernel's gateway, TLS or a plug-in takes part. A plug-in may remember
        things or read a clock.
        """
        return trial.reproducible(spec) and spec.gateway == "queue" and not trial.plugins_of(spec)

    def run(self, spec: TrialSpec) -> tuple[TrialResult, Trace | None]:
        """Like ``trial.run`` in the simulated world. The caller must not change what is returned.

        A trial that was not run has no trace, unless ``traces`` are kept. Raises ``UsageError`` for a bad
        spec.
        """
        if not self.applies(spec):
            self.ran += 1
            return trial.run(spec)
        net = trial.network_of(spec)
        setup = trial.setup_of(spec, net)
        if setup.later is not None:  # recorded gateways can't be given other models later
            self.ran += 1
            return trial.run(spec)
        known = trial.models(spec.model_paths)
        chosen = {name: known.get(model) for name, model in setup.models.items()}
        setting = setting_of(spec)
        tree = self._trees.pop(setting, None) or _Tree()
        self._trees[setting] = tree  # the latest used is the last
        end = _end_of(tree.root, make_gateways(net, chosen, seed_of(spec)))
        if end is None:
            self.ran += 1
            return self._run(spec, tree)
        self.shared += 1
        result, trace = end
        result = replace(
            result,
            spec=spec,
            models=dict(setup.models),
            notes=trial.notes_of(chosen.values()),
            unknown=any(map(profiles.is_unknown, chosen.values())),
            errors=list(result.errors),
            explanation=[],
            files={},
        )
        if spec.reach and trace is not None:
            result.reach = reach.measure(trace, net, seed_of(spec), chosen)
        return result, trace

    def _run(self, spec: TrialSpec, tree: _Tree) -> tuple[TrialResult, Trace | None]:
        log: list[tuple[_Question, Any]] = []

        def make_world(net: Network, chosen: Mapping[str, Model], seed: object) -> World:
            world = SimulatedWorld(net, chosen, seed)
            heard: dict[str, Any] = {
                name: _Heard(name, gateway, log) for name, gateway in world.gateways.items()
            }
            world.gateways = heard
            return world

        result, trace = trial.run(spec, make_world)
        result.course = _digest(log)
        node = tree.root
        for question, answer in log:
            node.question = question
            onward = node.ways.get(answer)
            if onward is None:
                onward = node.ways[answer] = _Node()
                tree.steps += 1
            node = onward
        kept = trace if self._traces or spec.reach else None
        node.end = replace(result, errors=list(result.errors)), kept
        while len(self._trees) > 1 and sum(each.steps for each in self._trees.values()) > _MOST_STEPS:
            self._trees.popitem(last=False)
        return result, trace


def _end_of(node: _Node, gateways: Mapping[str, Gateway]) -> tuple[TrialResult, Trace | None] | None:
    """The result of the trial that was run with the same answers; ``None`` if there is none."""
    while node.question is not None:
        onward = node.ways.get(node.question.put(gateways[node.question.gateway]))
        if onward is None:
            return None
        node = onward
    return node.end


def _digest(log: list[tuple[_Question, Any]]) -> str:
    """A digest of the answers."""
    found = hashlib.blake2b(digest_size=16)
    for question, answer in log:
        found.update(repr((question.gateway, question.method)).encode())
        if isinstance(answer, tuple):
            for each in answer:
                found.update(b"%d " % len(each.packet) + each.packet)
                found.update(repr((each.side, each.fate, each.detail, each.changed, each.error)).encode())
        else:
            found.update(repr(answer).encode())
    return found.hexdigest()
