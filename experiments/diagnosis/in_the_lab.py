"""Runs a learnt model in the lab: which check fails because of it, why, and which remedies help."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from siplab.experiments.explain import explained
from siplab.experiments.learning import writing
from siplab.experiments.learning.learning import Learnt
from siplab.experiments.trial import registry
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import CapabilityError, UsageError

SCENARIOS: Final = ("register", "outgoing-call", "incoming-call", "hold")
_NAME: Final = "diagnosed"


@dataclass(frozen=True)
class Harm:
    """A check that fails in the lab with the learnt model: what users notice, why, and what helps.

    ``untried``: remedies for which a package is not installed.
    """

    scenario: str
    check: str
    symptom: str
    why: str
    cures: tuple[str, ...]
    untried: tuple[str, ...] = ()


def harms(learnt: Learnt, scenarios: tuple[str, ...] = SCENARIOS, most: int = 2) -> list[Harm]:
    """What fails in the home network with the lab's default endpoints: at most ``most`` different checks."""
    found: list[Harm] = []
    with _spec(learnt) as spec:
        for scenario in scenarios:
            if len(found) == most:
                break
            tried = replace(spec, scenario=scenario)
            result, trace = trial.run(tried)
            failed = result.first_failure
            if result.errors or failed is None or failed.name in {each.check for each in found}:
                continue
            reason = next(iter(explained(result, trace).explanation), None)
            text = reason.text if reason is not None else ""
            found.append(Harm(scenario, failed.name, failed.symptom, text, *_cures(tried)))
    return found


@contextmanager
def _spec(learnt: Learnt) -> Iterator[TrialSpec]:
    """A trial with the model. If the model has learnt rules, it is loaded from a file, else by its name."""
    if learnt.rules is None:
        yield TrialSpec("home", learnt.model.id, scenario=SCENARIOS[0])
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{_NAME}.py"
        path.write_text(writing.as_module(learnt, _NAME), encoding="utf-8")
        yield TrialSpec("home", writing.model_id(_NAME), scenario=SCENARIOS[0], model_paths=(str(path),))


def _cures(spec: TrialSpec) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The remedies with which the trial passes, and those that this machine can't try."""
    cures, untried = [], []
    for item in registry.mitigations():
        try:
            result, _ = trial.run(replace(spec, mitigations=(item.id,)))
        except CapabilityError:
            untried.append(item.id)
        except UsageError:  # does not apply to this network
            continue
        else:
            cures += [item.id] if result.outcome == "pass" else []
    return tuple(cures), tuple(untried)
