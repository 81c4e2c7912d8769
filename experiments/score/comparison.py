"""Compares two scoreboards: about which routers does a detector give another verdict, and is that worse?"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

from pydantic import BaseModel

from siplab.experiments.score.baseline import lost
from siplab.experiments.score.tally import Word
from siplab.lab import documents

FORMAT: Final = "siplab-score"


class StoredRow(BaseModel):
    """A detector's trials with one router."""

    id: str
    outcome: Word


class StoredScore(BaseModel):
    """One detector's score."""

    id: str
    score: float
    rows: list[StoredRow]


class StoredScores(BaseModel):
    """What ``siplab score --json`` wrote, without what is not compared."""

    format: Literal["siplab-score"]
    version: Literal[1]
    detectors: list[StoredScore]


class Change(NamedTuple):
    """A detector's outcomes for a router differ; ``None``: one of the two runs does not have it."""

    detector: str
    router: str
    before: str | None
    after: str | None

    @property
    def worse(self) -> bool:
        """Whether something was lost. What only one run has is neither better nor worse."""
        return self.before is not None and self.after is not None and lost(self.before, self.after)


def read(data: Any, name: str) -> StoredScores:
    """The scoreboard in a file called ``name``. Raises ``UsageError`` that names the field."""
    return documents.as_kind(data, StoredScores, name, "scores of `siplab score --json`")


def changes(before: StoredScores, after: StoredScores) -> list[Change]:
    """The differences, in the order of the later run. What only the earlier run has comes last."""
    old, new = (
        {(each.id, row.id): row.outcome for each in scores.detectors for row in each.rows}
        for scores in (before, after)
    )
    found = [Change(*key, old.get(key), new.get(key)) for key in {**new, **old}]
    return [each for each in found if each.before != each.after]
