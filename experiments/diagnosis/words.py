"""Writes a diagnosis in words: what changed, which known behaviour it is, what fails, what helps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from siplab.experiments.diagnosis import one_side
from siplab.experiments.diagnosis.diagnosing import Diagnosis
from siplab.experiments.diagnosis.in_the_lab import Harm
from siplab.experiments.diagnosis.sentences import sentences
from siplab.experiments.learning.learning import Learnt

_SHOWN: Final = 8  # so many models are listed that can't be told apart


def words(found: Diagnosis) -> list[str]:
    """The sentences, in reading order."""
    if found.one_sided is not None:
        return one_side.sentences(found.one_sided)
    assert found.comparison is not None
    lines = sentences(found.comparison)
    if found.obstacle:
        lines.append(found.obstacle)
    if found.learnt is None:
        return lines
    lines.append(_behaviour(found.learnt))
    for harm in found.harms:
        lines += _harm(harm)
    if not found.harms:
        lines.append("In the lab, calls with this router work; other phones and servers may fare otherwise.")
    return lines


def _behaviour(learnt: Learnt) -> str:
    tie = [each.id for each in learnt.found.tie]
    named = ", ".join(tie[:_SHOWN]) + (f" and {len(tie) - _SHOWN} more" if len(tie) > _SHOWN else "")
    if learnt.found.distance:
        agreed = learnt.agreement
        rules = " with rules read off them" if learnt.rules is not None else ""
        return (
            f"No known behaviour is all of this; nearest: {named}. {agreed.equal} of "
            f"{agreed.total} messages are explained{rules}."
        )
    if len(tie) > 1:
        return f"It behaves as one of {len(tie)} models that this can't tell apart: {named}."
    return f"It behaves as the model '{tie[0]}'."


def _harm(harm: Harm) -> Iterator[str]:
    yield f"In the lab, {harm.scenario} fails: {harm.check}. {harm.symptom}"
    if harm.why:
        yield harm.why
    cures = ", ".join(harm.cures) or "none of the lab's"
    yield f"Remedies that cure it there: {cures}."
    if harm.untried:
        yield f"Not tried, for a package is not installed: {', '.join(harm.untried)}."
