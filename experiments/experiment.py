"""An experiment: a set of trials, described by a YAML file.

Every combination of model, mitigation set and scenario or detector is a trial, for each seed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from experiments import trial
from experiments.trial import TrialSpec
from lab import documents
from lab.errors import UsageError

_FOLDER = Path(__file__).parent / "library"


class Experiment(BaseModel):
    """The file's fields.

    ``models``, ``scenarios`` and ``detectors`` are specs: ``ID`` or ``ID(parameter=value)``;
    ``models: all`` means the whole catalogue. ``mitigations`` is a list of sets, the empty one
    being "nothing done". ``repeat`` runs each trial with that many seeds, from ``seed`` on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    summary: str = ""
    topology: str = "home"
    models: list[str] | Literal["all"] = "all"
    model_paths: list[str] = []
    scenarios: list[str] = []
    detectors: list[str] = []
    mitigations: Annotated[list[list[str]], Field(min_length=1)] = [[]]
    seed: Annotated[int, Field(ge=0)] = 1
    repeat: Annotated[int, Field(ge=1, le=10000)] = 1
    world: Literal["auto", "simulated", "emulated"] = "auto"

    @field_validator("models", "scenarios", "detectors", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return [value] if isinstance(value, str) and value != "all" else value

    def trials(self, extra_paths: tuple[str, ...] = (), seed: int | None = None) -> list[TrialSpec]:
        """All trials, in the order of the table. Raises ``UsageError`` for an unknown name."""
        paths = (*self.model_paths, *extra_paths)
        if self.models == "all":
            models = [model.id for model in trial.models(paths).runnable()]
        else:
            models = list(self.models)
        if not self.scenarios and not self.detectors:
            raise UsageError(f"experiment '{self.id}': name at least one scenario or detector")
        first = self.seed if seed is None else seed
        specs = [
            TrialSpec(self.topology, model, scenario, detector, tuple(mitigations), first + index, paths)
            for mitigations in self.mitigations
            for model in models
            for scenario, detector in [(each, "") for each in self.scenarios]
            + [("", each) for each in self.detectors]
            for index in range(self.repeat)
        ]
        for spec in dict.fromkeys(specs):
            trial.check_spec(spec)
        return specs


def available() -> list[str]:
    """Ids of the experiments that come with the project."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def load(name: str) -> Experiment:
    """An experiment by id, or from the path of a YAML file. Raises ``UsageError``."""
    if name in available():
        return documents.read(_FOLDER / f"{name}.yaml", Experiment)
    if name.endswith((".yaml", ".yml")) or Path(name).exists():
        return documents.read(Path(name), Experiment)
    raise UsageError(
        f"unknown experiment '{name}'; known are {', '.join(available())}, or the path of a YAML file"
    )
