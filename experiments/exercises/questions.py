"""Asks an exercise without revealing the router, and judges the answer.

The rules of this file:

- Before the answer, nothing contains the model's id: no title, no node, no command and no cause.
- The same exercise and seed give the same trial, with causes and remedies in the same order.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from siplab.experiments.exercises.schema import Exercise
from siplab.experiments.output.document import document
from siplab.experiments.output.view import CheckResult, Node, TrialDocument, TrialView
from siplab.experiments.trial import registry
from siplab.experiments.trial import run as trial


@dataclass(frozen=True)
class Question:
    """What is asked: ``causes`` and ``remedies`` (ids with descriptions), in an order drawn by the seed."""

    document: TrialDocument
    causes: tuple[str, ...]
    remedies: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Verdict:
    """What is right in an answer. ``missed``: cures that it lacks; ``useless``: remedies that do not cure."""

    cause: bool
    missed: int
    useless: int

    @property
    def right(self) -> bool:
        return self.cause and not self.missed and not self.useless


def ask(exercise: Exercise, seed: int) -> Question:
    """The exercise with a seed. Raises ``UsageError`` if something that it names does not exist."""
    result, trace = trial.run(exercise.trial.spec(seed))
    draw = random.Random(f"{seed}/{exercise.title}")
    causes = [exercise.causes.right, *exercise.causes.wrong]
    remedies = [*exercise.remedies.cure, *exercise.remedies.useless]
    draw.shuffle(causes)
    draw.shuffle(remedies)
    known = registry.mitigations()
    return Question(
        masked(document(result, trace, try_remedies=False)),
        tuple(causes),
        tuple((each, known.get(each).summary) for each in remedies),
    )


def judge(exercise: Exercise, cause: str, remedies: Sequence[str]) -> Verdict:
    """Whether the cause is right, and whether the remedies are exactly those that cure."""
    chosen, cures = set(remedies), set(exercise.remedies.cure)
    return Verdict(cause == exercise.causes.right, len(cures - chosen), len(chosen - cures))


def solved(exercise: Exercise, seed: int) -> TrialDocument:
    """The whole document: the router, why the trial fails, and what helps."""
    result, trace = trial.run(exercise.trial.spec(seed))
    return document(result, trace)


def masked(shown: TrialDocument) -> TrialDocument:
    """The trial alone, as seen by somebody who has captures of both sides but not the router."""
    asked = shown.variants[0]
    return replace(
        shown,
        title=shown.played,
        model="a router",
        model_about="",
        variants=(replace(asked, name="this router", about="", trial=_masked(asked.trial)),),
        remedies=(),
    )


def _masked(view: TrialView) -> TrialView:
    return replace(
        view,
        title="",
        command="The answer comes first: the command names the router.",
        settings={},
        nodes=tuple(map(_without_model, view.nodes)),
        checks=tuple(map(_without_cause, view.checks)),
        notes=(),
        errors=(),
    )


def _without_model(node: Node) -> Node:
    return replace(node, model="?" if node.kind == "gateway" else "")


def _without_cause(check: CheckResult) -> CheckResult:
    return replace(check, cause=None)
