"""How real programs react to one altered message: which refuse it, and which drop it silently.

The lists are in ``_refusals.yaml`` beside the kinds. If a message is dropped silently, the user sees a
time-out, and no log has a 400.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from siplab.experiments.trial.kinds import Evidence, Identifier, Strict, Text
from siplab.lab import documents
from siplab.lab.documents import MisplacedError

Answer = Annotated[str, StringConstraints(pattern=r"^(accepted|silence|[1-6][0-9]{2})$")]
"""``accepted``: as if nothing had been altered; ``silence``: dropped; else the status of the answer."""


class Program(Strict):
    """What was run, or read."""

    version: Text
    evidence: Evidence


class Row(Strict):
    """One change to one message, and what became of it."""

    id: Identifier
    message: Literal[
        "register",
        "invite",
        "reply",
        "200-to-register",
        "200-to-invite",
        "reinvite",
        "bye",
        "options-in-dialog",
        "keep-alive",
    ]
    change: Text
    outcomes: dict[str, Answer]
    """By program; if one is missing, its outcome is unknown."""
    then: Annotated[dict[str, Text], Field(default_factory=dict)]
    """What follows, if the answer does not end it."""
    read: tuple[str, ...] = ()
    """Programs whose outcome was read in the source, though others of their outcomes were observed."""
    inferred: tuple[str, ...] = ()
    """Programs whose outcome was inferred."""

    @model_validator(mode="after")
    def _consistent(self) -> Row:
        for place, names in (("then", self.then), ("read", self.read), ("inferred", self.inferred)):
            for name in names:
                if name not in self.outcomes:
                    raise MisplacedError(f"'{name}' has no outcome here", place)
        return self


class Refusals(Strict):
    """The file."""

    programs: dict[Identifier, Program]
    changes: tuple[Row, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Refusals:
        seen = set()
        for at, row in enumerate(self.changes):
            for name in row.outcomes:
                if name not in self.programs:
                    raise MisplacedError(f"'{name}' is none of the programs above", "changes", at, "outcomes")
            if row.id in seen:
                raise MisplacedError(f"two changes are called '{row.id}'", "changes", at, "id")
            seen.add(row.id)
        return self

    def refused(self, program: str) -> dict[str, str]:
        """The changes that a program does not accept: id to ``silence`` or a status."""
        found = {row.id: row.outcomes.get(program, "accepted") for row in self.changes}
        return {change: outcome for change, outcome in found.items() if outcome != "accepted"}


@cache
def load(package: ModuleType) -> Refusals:
    """The list beside a package's kinds. Raises ``UsageError`` naming line, field and fix."""
    return documents.read(Path(package.__path__[0]) / "_refusals.yaml", Refusals)
