"""The YAML files of claims: what the articles that this laboratory began with say, and what measures it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from siplab.experiments.cases.schema import Step
from siplab.lab.documents import MisplacedError

Article = Literal["A", "B", "C", "reports"]
"""A: "SIP ALG - Why Does It Need to be Disabled?", B: "What is SIP ALG?", C: "Why SIP ALG is the Hidden VoIP
Killer"; or users' reports and manuals from elsewhere."""


class Answer(StrEnum):
    """What measuring a claim came to."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    DEPENDS = "depends"
    NOT_MEASURED = "not measured"


class Observation(Step):
    """Trials, their expected result, and whether that speaks ``for`` the claim or ``against`` it.

    ``claim`` is one sentence on what is seen. ``inside_addresses``: the parts of the SIP leaving the home
    network that contain inside addresses, and no others. ``changed``: whether the router changes messages.
    ``calls_match``: whether the Call-IDs are the same on both sides of the router. Unset: this is not
    checked.
    """

    inside_addresses: list[str] | None = None
    changed: bool | None = None
    calls_match: bool | None = None
    by: Literal["source", "lab"] = "lab"
    speaks: Literal["for", "against"] = "for"


class VendorCount(BaseModel):
    """How many vendors' cards say something, on the ALG's ``default`` or on whether it can be switched off.

    ``of``: the values that are counted; at least ``at_least`` cards must have one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: Literal["default", "switch_off"]
    of: Annotated[list[str], Field(min_length=1)]
    at_least: Annotated[int, Field(ge=1)]
    speaks: Literal["for", "against"] = "for"


class Claim(BaseModel):
    """One claim of the articles, in our words.

    ``question``: as an FAQ would ask it. ``depends``: on what it depends, if observations speak both for and
    against it. ``cases``: cases of which every step speaks for it. ``reason``: why nothing measures it.
    ``learn``: what follows from it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    articles: Annotated[list[Article], Field(min_length=1)]
    says: str
    question: str = ""
    observations: list[Observation] = []
    vendors: list[VendorCount] = []
    cases: list[str] = []
    depends: str = ""
    reason: str = ""
    learn: str = ""

    @field_validator("articles", "cases", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _is_answered(self) -> Self:
        if (self.answer is Answer.DEPENDS) is not bool(self.depends):
            raise MisplacedError(
                "goes with observations for and against the claim, and only with both", "depends"
            )
        if (self.answer is Answer.NOT_MEASURED) is not bool(self.reason):
            raise MisplacedError("goes with a claim that nothing measures, and only with one", "reason")
        return self

    @property
    def beside_the_answer(self) -> str:
        """On what the claim depends, to be put after the answer; empty if it does not depend on anything."""
        if not self.depends:
            return ""
        return f" {self.depends}" if self.depends.startswith("on ") else f": {self.depends}"

    @property
    def answer(self) -> Answer:
        """The answer, if each observation comes out as it says."""
        spoken = {each.speaks for each in self.observations} | {each.speaks for each in self.vendors}
        if self.cases:
            spoken.add("for")
        if not spoken:
            return Answer.NOT_MEASURED
        if len(spoken) > 1:
            return Answer.DEPENDS
        return Answer.CONFIRMED if "for" in spoken else Answer.REFUTED


class Claims(BaseModel):
    """The file's fields: the subject, and its claims."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    claims: Annotated[list[Claim], Field(min_length=1)]
