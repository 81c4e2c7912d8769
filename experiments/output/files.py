"""What ``--out`` writes: ``results.json``, and per trial a trace as JSON lines and a capture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from siplab.experiments.output import pcapng
from siplab.experiments.trial.result import TrialResult
from siplab.lab.errors import UsageError
from siplab.lab.outputs import check_writable, write_text
from siplab.lab.worlds.trace import Trace

__all__ = ["as_json", "check_writable", "prepare", "write_json", "write_text", "write_trial"]


def prepare(folder: Path) -> None:
    """Make the folder. Raises ``UsageError`` when that can't be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {folder}: {error.strerror}") from None


def write_trial(folder: Path, result: TrialResult, trace: Trace) -> None:
    """Write a trial's trace and capture. Raises ``OutputError``."""
    name = result.spec.stem
    write_text(folder / f"{name}.trace.jsonl", trace.to_json_lines())
    pcapng.write(trace, folder / f"{name}.pcapng")


def as_json(name: str, world: str, results: Sequence[TrialResult], of: int | None = None) -> dict[str, Any]:
    """An experiment's results as plain data, the same for the same experiment.

    ``of``: how many trials there are to be, where not all were run.
    """
    data = {"version": 1, "experiment": name, "world": world}
    if of is not None and of != len(results):
        data |= {"interrupted": True, "trials_to_run": of}
    return data | {"trials": [each.as_json() for each in results]}


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write JSON to a file. Raises ``OutputError``."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")
