"""The trials of a scoreboard: every detector against every subject.

A *subject* is a router to judge: one with a model, or a clean control. The right answer follows from the
model: ``alg`` if something reads SIP messages or treats them specially, ``clean`` if nothing does. A fault of
the NAT alone (a binding that ends too soon) is no ALG, but such a router is not correct either. Then
``either`` answer is right, and the row does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from siplab.alg_models import profiles
from siplab.experiments.programs import ProgramDetector
from siplab.experiments.trial import controls
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec, check_count
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Model, Policy

Expected = Literal["alg", "clean", "either"]

# In the order of tables. A fault whose card names no class is ``other``.
GROUPS: Final = (
    "rewriting",
    "parsing",
    "state",
    "transport",
    "policy",
    "other",
    "faultless",
    "reference-implementation",
    "profile",
    "combination",
    "bare",
    "loss",
    "clean",
)
_KINDS: Final = {
    "control": "faultless",
    "reference-implementation": "reference-implementation",
    "profile": "profile",
    "combination": "combination",
    "bare": "bare",
    "loss": "loss",
}


@dataclass(frozen=True)
class Subject:
    """A router to judge. ``group``: the fault's class, or what kind of subject it is."""

    id: str
    group: str
    expected: Expected
    topology: str
    model: str
    control: str = ""


@dataclass(frozen=True)
class Plan:
    """``trials``: ``repeat`` trials for each detector and each subject, in order."""

    detectors: tuple[str | ProgramDetector, ...]
    subjects: tuple[Subject, ...]
    repeat: int
    trials: tuple[TrialSpec, ...]


def expected_of(model: Model) -> Expected:
    """The right answer about a router with this model."""
    if model.steps or model.policy != Policy():
        return "alg"
    return "either" if model.recipe.nat or model.card.kind != "control" else "clean"


def subjects(
    models: Sequence[str] = ("all",), *, topology: str = "home", model_paths: tuple[str, ...] = ()
) -> list[Subject]:
    """The routers, and all clean controls.

    ``models``: ids, specs and names of groups, as ``Catalogue.select`` takes them. A vendor's router whose
    ALG is unknown is left out (``not_scored``). Raises ``UsageError`` for an unknown model.
    """
    known = trial.models(model_paths)
    chosen = {each.id: each for each in known.select(models)}
    clash = next((each.name for each in controls.CONTROLS if each.name in chosen), None)
    if clash is not None:
        raise UsageError(f"model '{clash}' has the name of a clean control; give it another id")
    rows = [
        Subject(each.id, _group(each), expected_of(each), topology, each.id)
        for each in chosen.values()
        if not profiles.is_unknown(each)
        and (each.id != "none" or "none" in models)  # the control "plain-nat" is the same as ``none``
    ]
    rows += [
        Subject(each.name, "clean", "clean", each.topology, "none", each.name)
        for each in controls.available()
    ]
    return sorted(rows, key=lambda row: GROUPS.index(row.group))


def not_scored(models: Sequence[str], *, model_paths: tuple[str, ...] = ()) -> list[str]:
    """The models that are no subjects: routers of vendors whose ALG is unknown, so that it can't be run."""
    chosen = trial.models(model_paths).select(models)
    return [each.id for each in chosen if profiles.is_unknown(each)]


def _group(model: Model) -> str:
    if expected_of(model) == "clean":
        return "clean"
    if model.card.kind == "fault":
        return model.card.fault_class or "other"
    return _KINDS.get(model.card.kind, "other")


def plan(
    detectors: Sequence[str | ProgramDetector],
    rows: Sequence[Subject],
    *,
    repeat: int = 1,
    seed: int = 1,
    vary: bool = False,
    model_paths: tuple[str, ...] = (),
    detector_paths: tuple[str, ...] = (),
) -> Plan:
    """All trials, with seeds from ``seed`` on. Raises ``UsageError`` for an unknown name."""
    names = [str(each) for each in detectors]
    twice = next((each for each in names if names.count(each) > 1), None)
    if twice is not None:
        raise UsageError(f"detector '{twice}' is named twice")
    check_count(len(detectors) * len(rows) * repeat, "the scoreboard")
    trials = tuple(
        TrialSpec(
            row.topology,
            row.model,
            detector=detector,
            seed=seed + index,
            model_paths=model_paths,
            detector_paths=detector_paths,
            control=row.control,
            reach=True,
            vary=vary,
        )
        for detector in detectors
        for row in rows
        for index in range(repeat)
    )
    for spec in trials[:: max(1, repeat)]:
        trial.check_spec(spec)
    return Plan(tuple(detectors), tuple(rows), repeat, trials)
