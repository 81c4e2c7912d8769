"""An experiment: a set of trials, described by a YAML file.

Every combination of model, mitigation set and scenario or detector is a trial, for each seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from siplab.experiments.programs import ProgramDetector
from siplab.experiments.trial import registry
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import MOST_TRIALS, TrialSpec, check_count
from siplab.lab import documents
from siplab.lab.errors import UsageError
from siplab.lab.plain_data import LARGEST_EXACT
from siplab.lab.worlds.emulated import kernel

_FOLDER = Path(__file__).parent


# The union is discriminated, so that an error message is about the intended kind only.
NamedOrProgram = Annotated[
    Annotated[str, Tag("id")] | Annotated[ProgramDetector, Tag("program")],
    Discriminator(lambda value: "id" if isinstance(value, str) else "program"),
]


class Experiment(BaseModel):
    """The file's fields.

    ``models``, ``scenarios`` and ``detectors`` are specs: ``ID`` or ``ID(parameter=value)``; ``models: all``
    means the whole catalogue, ``scenarios: all`` every scenario. ``mitigations`` is a list of sets; the empty
    set means no mitigation. With ``gateway: kernel`` the routers' own kernel does the work; then the models
    can only be `linux` and `none`. ``phones``, ``servers`` and ``far_phones`` (the phones on the internet):
    kinds of endpoints; an empty one means the default. ``repeat`` runs each trial with that many seeds, from
    ``seed`` on; with ``vary`` they also decide in what real phones differ. ``longest``: seconds to wait for
    real programs. ``columns``: of the table: scenarios and detectors, or endpoints with what fails first.
    """

    # protected_namespaces: pydantic before 2.10 warns of `model_paths`.
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    id: str
    summary: str = ""
    topology: str = "home"
    models: list[str] | Literal["all"] = "all"
    model_paths: list[str] = []
    scenarios: list[str] | Literal["all"] = []
    detectors: list[NamedOrProgram] = []
    mitigations: Annotated[list[list[str]], Field(min_length=1)] = [[]]
    phones: Annotated[list[str], Field(min_length=1)] = [""]
    servers: Annotated[list[str], Field(min_length=1)] = [""]
    far_phones: Annotated[list[str], Field(min_length=1)] = [""]
    seed: Annotated[int, Field(ge=0, le=LARGEST_EXACT)] = 1
    repeat: Annotated[int, Field(ge=1, le=10000)] = 1
    columns: Literal["situations", "endpoints"] = "situations"
    world: Literal["auto", "simulated", "emulated"] = "auto"
    gateway: Literal["queue", "kernel"] = "queue"
    longest: Annotated[float, Field(ge=0, le=3600)] = 0.0
    vary: bool = False

    @field_validator("models", "scenarios", "detectors", "phones", "servers", "far_phones", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return [value] if isinstance(value, str | dict) and value != "all" else value

    @model_validator(mode="after")
    def _names_differ(self) -> Experiment:
        # Tables and files identify a detector by its name.
        names = [str(each) for each in self.detectors]
        for each in self.detectors:
            if isinstance(each, ProgramDetector) and names.count(each.id) > 1:
                raise ValueError(f"two detectors are called '{each.id}'")
        return self

    def beside(self, folder: Path) -> Experiment:
        """The same experiment, with programs for which ``{here}`` means ``folder``."""
        found = [
            each.model_copy(update={"here": str(folder)}) if isinstance(each, ProgramDetector) else each
            for each in self.detectors
        ]
        return self.model_copy(update={"detectors": found})

    def with_kinds(
        self, phones: Sequence[str], servers: Sequence[str], far_phones: Sequence[str]
    ) -> Experiment:
        """The same experiment with other kinds of endpoints. If none of a sort are given, the file's stay."""
        chosen = {"phones": phones, "servers": servers, "far_phones": far_phones}
        return self.model_copy(update={name: list(each) for name, each in chosen.items() if each})

    def with_all_capabilities(self) -> Experiment:
        """The same experiment, with programs that may do whatever this process may."""
        found = [each if isinstance(each, str) else each.with_all_capabilities() for each in self.detectors]
        return self.model_copy(update={"detectors": found})

    def trials(
        self,
        extra_paths: tuple[str, ...] = (),
        seed: int | None = None,
        scenario_paths: tuple[str, ...] = (),
        most: int = MOST_TRIALS,
    ) -> list[TrialSpec]:
        """All trials, in the order of the table.

        Raises ``UsageError`` for an unknown name, and for more than ``most`` trials.
        """
        paths = (*self.model_paths, *extra_paths)
        if self.models == "all" and self.gateway == "kernel":
            models = list(kernel.MODELS)
        elif self.models == "all":
            models = [model.id for model in trial.models(paths).runnable()]
        else:
            models = list(self.models)
        if not self.scenarios and not self.detectors:
            raise UsageError(f"experiment '{self.id}': name at least one scenario or detector")
        first = self.seed if seed is None else seed
        scenarios = self.scenarios
        if scenarios == "all":
            scenarios = [each.id for each in registry.scenarios(scenario_paths)]
        played: list[tuple[str, str | ProgramDetector]] = [(each, "") for each in scenarios]
        played += [("", each) for each in self.detectors]
        parts = (self.phones, self.servers, self.mitigations, models, played)
        count = self.repeat * math.prod(len(each) for each in parts)
        check_count(count, f"experiment '{self.id}'", most)
        specs = [
            TrialSpec(
                self.topology,
                model,
                scenario,
                detector,
                tuple(mitigations),
                first + index,
                paths,
                scenario_paths=scenario_paths,
                gateway=self.gateway,
                phone=phone,
                server=server,
                far_phone=far_phone,
                longest=self.longest,
                vary=self.vary,
            )
            for phone in self.phones
            for server in self.servers
            for far_phone in self.far_phones
            for mitigations in self.mitigations
            for model in models
            for scenario, detector in played
            for index in range(self.repeat)
        ]
        for spec in dict.fromkeys(specs):
            trial.check_spec(spec)
        return specs


def available() -> list[str]:
    """Ids of the project's own experiments."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def load(name: str) -> Experiment:
    """An experiment by its id, or by the path of a YAML file. Raises ``UsageError``."""
    if name in available():
        return documents.read(_FOLDER / f"{name}.yaml", Experiment)
    if name.endswith((".yaml", ".yml")) or Path(name).exists():
        return documents.read(Path(name), Experiment).beside(Path(name).resolve().parent)
    raise UsageError(
        f"unknown experiment '{name}'; known are {', '.join(available())}, or the path of a YAML file"
    )
