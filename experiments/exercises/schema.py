"""The YAML file of an exercise."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.documents import MisplacedError

Level = Literal["easy", "medium", "hard"]
LEVELS: Final[tuple[Level, ...]] = get_args(Level)
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Situation(_Strict):
    """The trial to look at; its seed is chosen by the class."""

    model: str
    scenario: str
    topology: str = "home"
    phone: str = ""
    server: str = ""

    def spec(self, seed: int) -> TrialSpec:
        """The trial with that seed."""
        return TrialSpec(
            self.topology, self.model, self.scenario, seed=seed, phone=self.phone, server=self.server
        )


class Causes(_Strict):
    """Possible causes, of which one is right."""

    right: Text
    wrong: Annotated[tuple[Text, ...], Field(min_length=2)]


class Remedies(_Strict):
    """Mitigations by their ids: those that cure, and those that do not."""

    cure: tuple[str, ...]
    useless: Annotated[tuple[str, ...], Field(min_length=1)]


class Exercise(_Strict):
    """What a class is asked. It is named by its file, and neither that nor any text before the answer may
    give the router's model away.
    """

    title: Text
    level: Level
    story: Text
    """What users tell."""
    trial: Situation
    fails: Text
    """The check that fails first, with every seed."""
    causes: Causes
    remedies: Remedies
    hints: Annotated[tuple[Text, ...], Field(min_length=2)]
    """Each says more than the one before it."""
    solution: Text
    """What the class is told in the end: what happens, in which message, and what to learn from it."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.causes.right in self.causes.wrong:
            raise MisplacedError("it is the right cause, too", "causes", "wrong")
        if both := set(self.remedies.cure) & set(self.remedies.useless):
            raise MisplacedError(f"'{min(both)}' is said to cure, too", "remedies", "useless")
        return self
