"""Results of a run that were stored, read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from siplab.experiments.output import console, files, journal
from siplab.experiments.trial.result import Explanation
from siplab.experiments.trial.spec import TrialSpec
from siplab.experiments.trial.stage import Check
from siplab.lab import documents
from siplab.lab.counting import number_of
from siplab.lab.errors import UsageError

_SPEC: Final = ("topology", "model", "scenario", "detector", "mitigations", "seed", "control", "gateway")
_KINDS: Final = ("phone", "server", "far_phone", "longest", "vary")


def load(place: Path) -> tuple[Path, list[dict[str, Any]]]:
    """The folder and the trials in it. Raises ``UsageError``."""
    if not place.exists():
        raise UsageError(f"{place}: no such file or folder; it is what --out of `siplab run` was given")
    folder, path = (place, place / files.RESULTS) if place.is_dir() else (place.parent, place)
    if place.is_dir() and not path.exists():
        path = place / journal.NAME  # the run was killed
        if not path.exists():
            raise UsageError(
                f"{place}: no results.json in it; `siplab run EXPERIMENT --out FOLDER` writes it"
            )
    if path.name == journal.NAME:
        results, damaged = journal.results_in(path)
        if damaged:
            console.say(f"{path}: skipped {number_of(damaged, 'damaged line')}")
        return folder, results
    what = "results of `siplab run`"
    data = documents.plain(documents.text(path), str(path), what)
    if not isinstance(data.get("trials"), list):
        raise UsageError(f"{path}: no {what}: there is no list of trials in it")
    return folder, data["trials"]


class _Stored(BaseModel):
    """What must be sound in a stored trial for it to be explained."""

    topology: str
    model: str
    scenario: str = ""
    detector: str = ""
    mitigations: list[str] = []
    seed: int = 1
    control: str = ""
    gateway: str = "queue"
    phone: str = ""
    server: str = ""
    far_phone: str = ""
    longest: float = 0.0
    vary: bool = False
    checks: list[Check] = []
    explanation: list[Explanation] = []


def spec_of(row: dict[str, Any], place: Path) -> TrialSpec:
    """The trial of a row. Raises ``UsageError``."""
    try:
        _Stored.model_validate(row)
    except ValidationError as error:
        raise UsageError(f"{place}: a trial in it is none: {documents.fault(error)}") from None
    values = {name: row[name] for name in (*_SPEC, *_KINDS) if name in row}
    return TrialSpec(**{**values, "mitigations": tuple(values.get("mitigations", ()))})
