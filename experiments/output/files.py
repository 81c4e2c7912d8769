"""Writes ``--out``: ``results.json``, and for each trial a trace as JSON lines and a capture."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from siplab.experiments.output import alike, pcapng, provenance, side_captures
from siplab.experiments.output.provenance import determinants, vendors
from siplab.experiments.output.schemas import VERSION
from siplab.experiments.output.side_captures import Media
from siplab.experiments.trial.result import TrialResult
from siplab.lab.errors import UsageError
from siplab.lab.outputs import check_writable, replaced, write_text
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.trace import Trace

__all__ = [
    "RESULTS",
    "as_json",
    "check_writable",
    "prepare",
    "write_captures",
    "write_json",
    "write_results",
    "write_text",
    "write_trace",
    "write_trial",
]

RESULTS: Final = "results.json"
_LEVEL: Final = 6  # of gzip: higher levels take three times as long to save a twentieth


def prepare(folder: Path) -> None:
    """Make the folder. Raises ``UsageError`` if that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UsageError(f"--out {folder}: a file is there, not a folder") from None
    except OSError as error:
        raise UsageError(f"--out {folder}: {error.strerror}") from None


def write_trial(
    folder: Path, result: TrialResult, trace: Trace, network: Network, media: Media = "carried"
) -> None:
    """Write a trial's trace and captures, and add their names to the result.

    Raises ``OutputError``.
    """
    write_trace(folder, result, trace)
    result.files |= write_captures(folder, result.spec.stem, trace, network, media)


def write_trace(folder: Path, result: TrialResult, trace: Trace, *, packed: bool = False) -> None:
    """Write a trial's trace; ``packed``: with gzip. Raises ``OutputError``."""
    name = f"{result.spec.stem}.trace.jsonl{'.gz' if packed else ''}"
    result.files = {"trace": name, **result.files}
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
    if not packed:
        write_text(folder / name, text)
        return
    with replaced(folder / name) as out:
        # The same text gives the same bytes: no time and no name is stored.
        out.write(gzip.compress(text.encode(errors="backslashreplace"), _LEVEL, mtime=0))


def write_captures(
    folder: Path, stem: str, trace: Trace, network: Network, media: Media = "carried"
) -> dict[str, str]:
    """Write the captures of a trace: one of all taps, and one of each side. Returns their names by kind.

    Raises ``OutputError``.
    """
    capture = folder / f"{stem}.pcapng"
    pcapng.write(trace, capture)
    names = {"capture": capture.name}
    for side, path in side_captures.write(trace, network, capture, media).items():
        names[f"capture-{side}"] = path.name
    return names


def as_json(name: str, world: str, results: Sequence[TrialResult], of: int | None = None) -> dict[str, Any]:
    """An experiment's results as plain data, the same for the same experiment.

    ``of``: the planned number of trials, if not all were run. ``trials`` is the last entry.
    """
    data: dict[str, Any] = {"version": VERSION, "experiment": name, "world": world, **determinants(results)}
    if of is not None and of != len(results):
        data |= {"interrupted": True, "trials_to_run": of}
    if told := alike.groups(results):
        data["alike"] = [asdict(each) for each in told]
    return data | {"trials": [_row(each) for each in results]}


def _row(result: TrialResult) -> dict[str, Any]:
    row = result.as_json()
    return row | {"vendors": told} if (told := vendors(result)) else row


def write_results(paths: Sequence[Path], data: dict[str, Any]) -> None:
    """Write results. ``provenance.json`` in each folder says where and when they were made.

    Each trial is one line: indented JSON takes ten times as long to write.
    """
    head = json.dumps(data | {"trials": []}, indent=2, ensure_ascii=False).removesuffix("[]\n}")
    rows = ",\n".join(json.dumps(each, ensure_ascii=False) for each in data["trials"])
    text = head + "[\n" + rows + "\n]\n}\n"
    for path in paths:
        write_text(path, text)
    for folder in {path.parent for path in paths if path.name == RESULTS}:
        write_json(folder / provenance.NAME, provenance.provenance())


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write JSON to a file. Raises ``OutputError``."""
    write_text(path, json.dumps(data, indent=2, ensure_ascii=False) + "\n")
