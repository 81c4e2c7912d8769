"""Results of a run that were stored, read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from siplab.experiments.output import files, journal
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError

_SPEC: Final = ("topology", "model", "scenario", "detector", "mitigations", "seed", "control", "gateway")
_KINDS: Final = ("phone", "server", "far_phone")


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
        return folder, journal.results_in(path)
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["trials"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: no results of `siplab run`: {error}") from None
    return folder, rows


def spec_of(row: dict[str, Any], place: Path) -> TrialSpec:
    """The trial of a row. Raises ``UsageError``."""
    try:
        values = {name: row[name] for name in (*_SPEC, *_KINDS) if name in row}
        return TrialSpec(**{**values, "mitigations": tuple(values.get("mitigations", ()))})
    except TypeError:
        raise UsageError(f"{place}: a trial in it has no topology or no model") from None
