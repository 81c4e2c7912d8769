"""A line of the journal: the key of a trial, and its result or the result's place in ``results.json``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """The content of a line. ``pointed``: the result itself is in ``results.json``."""

    key: str
    result: dict[str, Any]
    pointed: bool


def line(key: str, result: dict[str, Any]) -> bytes:
    """The line of a result."""
    return _line({"key": key, "result": result})


def pointing(lines: Sequence[bytes], places: Mapping[str, int], of: str) -> Iterator[bytes]:
    """The lines; those of trials in ``places`` now refer to the file with digest ``of``.

    ``places``: for each key the position in that file's list of trials, from 0. Other lines are unchanged.
    """
    for each in lines:
        pointer = each
        with suppress(ValueError, KeyError, TypeError, RecursionError):  # damaged, or of no trial there
            key = json.loads(each)["key"]
            pointer = _line({"key": key, "trial": places[key], "of": of})
        yield pointer


def whole(data: bytes) -> list[bytes]:
    """The complete lines of a journal, with their ends. What follows the last line end was cut off."""
    return [each + b"\n" for each in data.split(b"\n")[:-1]]


def rows(lines: Sequence[bytes], results: Path) -> list[Row | None]:
    """The content of lines; ``None``: damaged. ``results``: the file that lines may refer to.

    A line also counts as damaged if that file is not the one that it was written for.
    """
    found: list[Row | None] = []
    of = ""
    trials: list[Any] = []
    for each in lines:
        row = None
        with suppress(ValueError, KeyError, TypeError, IndexError, RecursionError):
            data = json.loads(each)
            pointed = "trial" in data
            if pointed and not of:
                of, trials = _trials(results)
            if not pointed or data["of"] == of:
                result = trials[data["trial"]] if pointed else data["result"]
                if isinstance(data["key"], str) and isinstance(result["errors"], list):
                    row = Row(data["key"], result, pointed)
        found.append(row)
    return found


def digest(data: bytes) -> str:
    """The digest that identifies a file of results."""
    return hashlib.sha256(data).hexdigest()[:32]


def _trials(results: Path) -> tuple[str, list[Any]]:
    """The digest of a file of results, and its trials; no trials if it can't be read."""
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        data = results.read_bytes()
        return digest(data), json.loads(data)["trials"]
    return "none", []


def _line(data: dict[str, Any]) -> bytes:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n"
    return text.encode(errors="backslashreplace")
