"""The YAML file of a case."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.documents import MisplacedError
from siplab.lab.plain_data import LARGEST_EXACT

Outcome = Literal["works", "fails", "varies"]


class Step(BaseModel):
    """One claim, and the trials that bear it out: every scenario with ``repeat`` seeds, from ``seed`` on.

    ``claim``: a sentence. ``by``: who claims it, the ``source`` of the case or the ``lab``, which adds
    controls. ``expect``: every trial ``works``, every trial ``fails``, or it ``varies``. ``notices``: the
    checks at which failing trials fail first; each must occur, and no other. ``because``: what the messages
    alone don't tell. ``cure``: the step says what helps.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    claim: str
    by: Literal["source", "lab"] = "source"
    topology: str = "home"
    model: str
    phone: str = ""
    server: str = ""
    far_phone: str = ""
    mitigations: list[str] = []
    scenarios: Annotated[list[str], Field(min_length=1)]
    seed: Annotated[int, Field(ge=0, le=LARGEST_EXACT)] = 1
    repeat: Annotated[int, Field(ge=1, le=1000)] = 1
    expect: Outcome
    notices: list[str] = []
    because: str = ""
    cure: bool = False

    @field_validator("scenarios", "mitigations", "notices", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _failures_are_named(self) -> Self:
        if bool(self.notices) is (self.expect == "works"):
            message = "name the checks that fail" if self.expect != "works" else "what works fails no check"
            raise MisplacedError(message, "notices")
        return self

    def trials(self) -> list[TrialSpec]:
        """The trials of the step. Raises ``UsageError`` for an unknown name."""
        specs = [
            TrialSpec(
                self.topology,
                self.model,
                scenario,
                mitigations=tuple(self.mitigations),
                seed=self.seed + index,
                phone=self.phone,
                server=self.server,
                far_phone=self.far_phone,
            )
            for scenario in self.scenarios
            for index in range(self.repeat)
        ]
        for spec in specs:
            trial.check_spec(spec)
        return specs


class Case(BaseModel):
    """The file's fields.

    ``source``: where the story is from. ``story``: what was reported. ``assumptions``: what the lab had to
    choose because the report does not say it. ``lesson``: what to learn from it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    title: str
    source: str
    story: str
    assumptions: list[str] = []
    lesson: str
    steps: Annotated[list[Step], Field(min_length=1)]
