"""Shows what becomes of failed checks if the user chooses which actions are undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from siplab.experiments.trial.counterfactual import replay
from siplab.experiments.trial.counterfactual.actions import ActionKind, GatewayAction
from siplab.experiments.trial.counterfactual.replay import Replayer
from siplab.experiments.trial.counterfactual.undoing import CORRECT, NONE
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.counting import number_of
from siplab.lab.errors import UsageError

Becomes = Literal["passes with a correct ALG's in its place", "passes with no ALG's in its place", "fails"]


@dataclass(frozen=True)
class Answer:
    """``checks``: the outcome of each; ``undone``: how many actions were undone."""

    spec: TrialSpec
    checks: dict[str, Becomes]
    undone: int

    def lines(self) -> list[str]:
        """For the terminal."""
        actions = f"{number_of(self.undone, 'action')} undone"
        return [f"{name}: {becomes} ({actions})" for name, becomes in self.checks.items()]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {"trial": self.spec.name, "undone": self.undone, "checks": self.checks}


def what_if(spec: TrialSpec, checks: Sequence[str], actions: Sequence[GatewayAction]) -> Answer:
    """Run a trial again with these actions undone: once as a correct ALG would act, once as no ALG.

    Raises ``UsageError`` if the routers did nothing of the kind, or if the trial can't be run again.
    """
    if why := replay.obstacle(spec):
        raise UsageError(f"{spec.name} can't be run again: {why}")
    replayer = Replayer(spec)
    correct = replayer.run(checks, actions)
    none = replayer.run(checks, actions, (), NONE)
    undone = max(len(correct.done), len(none.done))
    if not undone:
        wanted = ", ".join(f"'{each}'" for each in actions)
        raise UsageError(f"{spec.name}: no router did {wanted}; there is: {_there_is(replayer, checks)}")
    found: dict[str, Becomes] = {}
    for each in checks:
        if correct.passes(each):
            found[each] = "passes with a correct ALG's in its place"
        else:
            found[each] = "passes with no ALG's in its place" if none.passes(each) else "fails"
    return Answer(spec, found, undone)


def _there_is(replayer: Replayer, checks: Sequence[str]) -> str:
    """All actions that could be undone, by classes."""
    everything = [GatewayAction("", kind) for kind in ActionKind if kind is not ActionKind.STATE]
    done = replayer.run(checks, everything, (), CORRECT).done
    names = dict.fromkeys(str(each.of_class) for each in done)
    return ", ".join(f"'{each}'" for each in names) or "nothing"
