"""What ``--out`` writes: ``results.json``, and per trial a trace as JSON lines and a capture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from siplab.experiments.output import pcapng, provenance, side_captures
from siplab.experiments.output.provenance import determinants, vendors
from siplab.experiments.output.schemas import VERSION
from siplab.experiments.output.side_captures import Media
from siplab.experiments.trial.result import TrialResult
from siplab.lab.errors import UsageError
from siplab.lab.outputs import check_writable, write_text
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.trace import Trace

__all__ = [
    "RESULTS",
    "as_json",
    "check_writable",
    "prepare",
    "write_json",
    "write_results",
    "write_text",
    "write_trial",
]

RESULTS: Final = "results.json"


def prepare(folder: Path) -> None:
    """Make the folder. Raises ``UsageError`` when that can't be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {folder}: {error.strerror}") from None


def write_trial(
    folder: Path, result: TrialResult, trace: Trace, network: Network, media: Media = "carried"
) -> None:
    """Write a trial's trace and captures; the result has their names from then on.

    Raises ``OutputError``.
    """
    name = result.spec.stem
    result.files = {"trace": f"{name}.trace.jsonl", "capture": f"{name}.pcapng", **result.files}
    head = {
        "kind": "trial",
        "version": VERSION,
        **determinants([result]),
        "world": result.world,
        "settings": result.settings(),
        "models": result.models,
        "vendors": vendors(result),
    }
    text = json.dumps(head, ensure_ascii=False, separators=(",", ":")) + "\n" + trace.to_json_lines()
    write_text(folder / result.files["trace"], text)
    capture = folder / result.files["capture"]
    pcapng.write(trace, capture)
    for side, path in side_captures.write(trace, network, capture, media).items():
        result.files[f"capture-{side}"] = path.name


def as_json(name: str, world: str, results: Sequence[TrialResult], of: int | None = None) -> dict[str, Any]:
    """An experiment's results as plain data, the same for the same experiment.

    ``of``: how many trials there are to be, where not all were run.
    """
    data: dict[str, Any] = {"version": VERSION, "experiment": name, "world": world, **determinants(results)}
    if of is not None and of != len(results):
        data |= {"interrupted": True, "trials_to_run": of}
    return data | {"trials": [_row(each) for each in results]}


def _row(result: TrialResult) -> dict[str, Any]:
    row = result.as_json()
    return row | {"vendors": told} if (told := vendors(result)) else row


def write_results(paths: Sequence[Path], data: dict[str, Any]) -> None:
    """Write results; in the folder of each ``provenance.json`` says where and when they were made."""
    for path in paths:
        write_json(path, data)
    for folder in {path.parent for path in paths if path.name == RESULTS}:
        write_json(folder / provenance.NAME, provenance.provenance())


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write JSON to a file. Raises ``OutputError``."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")
