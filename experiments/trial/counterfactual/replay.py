"""Runs a trial again with some of its routers' actions undone: does the check pass then?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from siplab.experiments.trial import run as trial
from siplab.experiments.trial.counterfactual.actions import GatewayAction
from siplab.experiments.trial.counterfactual.undoing import CORRECT, Reference, Undoing
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Model
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.simulated import SimulatedWorld
from siplab.lab.worlds.trace import Checked, Record, Trace


def obstacle(spec: TrialSpec) -> str:
    """Why a trial can't be run again as it was; empty if it can be."""
    if spec.by_wall_clock:
        return "a program from outside took part, by the wall clock"
    if spec.gateway == "kernel":
        return "the kernel did the router's work"
    try:
        trial.check_spec(spec)
    except UsageError as error:  # for instance a user's own model whose file is not named
        return str(error)
    return ""


@dataclass(frozen=True)
class Outcome:
    """The outcome of one run: which checks passed or failed, and which actions were undone or watched."""

    checks: Mapping[str, bool]
    done: tuple[GatewayAction, ...]
    trace: Trace

    def passes(self, check: str) -> bool:
        """Whether the run reached the check, and the check passed."""
        return self.checks.get(check, False)


class _Decided(Exception):  # noqa: N818 - an outcome, not an error
    """All wanted checks are there, so the rest of the trial changes nothing."""


class _Watched(Trace):
    """A trace that ends the trial as soon as the wanted checks are there."""

    def __init__(self, wanted: Sequence[str]) -> None:
        super().__init__()
        self.checks: dict[str, bool] = {}
        self._missing = set(wanted)

    def add(self, record: Record) -> None:
        super().add(record)
        if isinstance(record, Checked):
            self.checks.setdefault(record.name, record.passed)
            self._missing.discard(record.name)
            if not self._missing:
                raise _Decided


class Replayer:
    """Runs one trial in the simulated world, as often as asked.

    ``runs``: how often it did. ``undone``: whether any run found an action to undo.
    """

    def __init__(self, spec: TrialSpec) -> None:
        self.spec = spec
        self.runs = 0
        self.undone = False

    def run(
        self,
        wanted: Sequence[str],
        chosen: Sequence[GatewayAction],
        kept: Sequence[GatewayAction] = (),
        reference: Reference = CORRECT,
        *,
        watched: Sequence[GatewayAction] = (),
    ) -> Outcome:
        """Run the trial until the checks ``wanted`` are there, with ``chosen`` but not ``kept`` undone.

        ``watched``: as in ``Undoing``.
        """
        undoing = Undoing(tuple(chosen), tuple(kept), reference, tuple(watched))
        trace = _Watched(wanted)

        def world(net: Network, models: Mapping[str, Model], seed: object) -> SimulatedWorld:
            changed = {name: undoing.model(name, model) for name, model in models.items()}
            made = SimulatedWorld(net, changed, seed)
            made.trace = trace
            return made

        self.runs += 1
        try:
            trial.run(self.spec, world)
        except _Decided:
            pass
        except Exception:
            # A scenario that raises an error with this router has not passed.
            trace.checks.clear()
        self.undone = self.undone or bool(undoing.done)
        return Outcome(trace.checks, tuple(dict.fromkeys(undoing.done)), trace)
