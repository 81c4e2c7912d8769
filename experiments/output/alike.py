"""Groups of models that can't be told apart: their trials had the same bytes at every gateway."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec


@dataclass(frozen=True)
class Alike:
    """Models that can't be told apart in a setting, which is named like its trials, without the seed."""

    setting: str
    models: tuple[str, ...]


def groups(results: Iterable[TrialResult]) -> list[Alike]:
    """The groups of two or more models, in the order of the trials.

    All trials of a model in a setting are compared, with all seeds. A model is in no group if a trial of it
    was not recorded (``TrialResult.course``).
    """
    courses: dict[TrialSpec, dict[str, list[tuple[int, str]]]] = {}
    for each in results:
        setting = replace(each.spec, model="", seed=0)
        courses.setdefault(setting, {}).setdefault(each.spec.model, []).append((each.spec.seed, each.course))
    found: list[Alike] = []
    for setting, models in courses.items():
        alike: dict[tuple[tuple[int, str], ...], list[str]] = {}
        for model, course in models.items():
            if all(digest for _, digest in course):
                alike.setdefault(tuple(course), []).append(model)
        name = setting.name.removesuffix("__seed0").replace("__seed0__", "__")
        found += [Alike(name, tuple(each)) for each in alike.values() if len(each) > 1]
    return found
