"""Compares with an earlier scoreboard, so that detectors do not get worse.

A baseline is a small JSON file that belongs under version control: one word per detector and subject. Only
losses count: an ALG that a detector caught, or a clean router that it did not accuse, and where it now fails.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from siplab.experiments.score.tally import Score, Word
from siplab.lab import documents
from siplab.lab.errors import UsageError
from siplab.lab.outputs import write_text

VERSION: Final = 1


class Baseline(BaseModel):
    """The file's fields. ``detectors``: detector -> subject -> outcome."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["siplab-score-baseline"]
    version: Literal[1]
    detectors: dict[str, dict[str, Word]]


class Loss(NamedTuple):
    """Something that a detector was able to do, and is not any more."""

    detector: str
    subject: str
    before: str
    now: str

    @property
    def text(self) -> str:
        did = {
            "false-alarm": "newly accuses",
            "missed": "no longer catches",
            "out-of-reach": "no longer reaches",
            "undecided": "no longer decides on",
        }.get(self.now, "fails at")
        return f"{self.detector} {did} {self.subject} ({self.before} before, {self.now} now)"


def lost(was: str, now: str) -> bool:
    """Whether an outcome is a loss compared with the earlier one. An invalid trial says nothing."""
    if now in (was, "invalid"):
        return False
    if now == "false-alarm":
        return True
    if now == "error":
        return was not in ("invalid", "false-alarm")
    if was == "caught":
        return now in ("missed", "undecided", "out-of-reach")
    return was == "quiet" and now == "undecided"


def load(path: Path) -> Baseline:
    """Read a baseline. Raises ``UsageError`` that names file, line and field."""
    if not path.exists():
        raise UsageError(f"{path}: no such baseline; --update-baseline writes it")
    return documents.read_json(path, Baseline, "baseline of `siplab score`")


def write(path: Path, scores: Sequence[Score]) -> None:
    """Write these scores as a baseline. Raises ``OutputError``."""
    data = {
        "format": "siplab-score-baseline",
        "version": VERSION,
        "detectors": {each.detector: {row.subject.id: row.outcome for row in each.rows} for each in scores},
    }
    write_text(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def check(before: Baseline, detectors: Sequence[str], name: str) -> None:
    """Raises ``UsageError`` if the baseline, whose file is ``name``, has none of the detectors."""
    if not set(detectors) & set(before.detectors):
        names = ", ".join(before.detectors) or "nobody"
        raise UsageError(
            f"{name}: a baseline of other detectors ({names}); --update-baseline writes a new one"
        )


def losses(before: Baseline, scores: Sequence[Score]) -> list[Loss]:
    """What was lost since the baseline. Detectors and subjects that it does not have don't count."""
    found: list[Loss] = []
    for score in scores:
        rows = before.detectors.get(score.detector, {})
        for row in score.rows:
            was = rows.get(row.subject.id)
            if was is not None and lost(was, row.outcome):
                found.append(Loss(score.detector, row.subject.id, was, row.outcome))
    return found
