"""Reads a program's verdict from its exit status, from what it printed, or from JSON that it printed."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from siplab.experiments.programs.config import JsonReading, OutputReading, VerdictReading
from siplab.experiments.trial.stage import Finding

_VERDICTS: Final = ("alg", "clean", "undecided")
_LONGEST_LINE: Final = 200
_MOST_FIELDS: Final = 100


@dataclass(frozen=True)
class Ended:
    """A program that has ended. ``status``: its exit status, or minus the signal that ended it."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """All that it printed, standard output first."""
        return "\n".join(each.decode("utf-8", "replace") for each in (self.stdout, self.stderr) if each)


def one_line(text: str) -> str:
    """The last line that is not empty, fit for a table: limited in length, without control characters."""
    lines = [line for line in text.splitlines() if line.strip()]
    line = (
        " ".join("".join(char if char.isprintable() else " " for char in lines[-1]).split()) if lines else ""
    )
    return line if len(line) <= _LONGEST_LINE else line[: _LONGEST_LINE - 1] + "…"


def how_it_ended(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"ended by signal {-status}"


def read(reading: VerdictReading, ended: Ended) -> Finding:
    """The client's verdict; ``error`` with the reason if there is none to read."""
    if ended.status < 0:
        return _error(f"the client was {how_it_ended(ended.status)}", ended)
    document: Any = None
    if reading.exit is not None:
        verdict, reason = _by_exit(reading, ended)
    elif reading.json_ is not None:
        document = _document(ended.stdout)
        verdict, reason = _by_json(reading.json_, document)
    else:
        assert reading.output is not None
        verdict, reason = _by_output(reading.output, ended.text)
    if verdict is None:
        return _error(f"{reason}; {how_it_ended(ended.status)}", ended)
    changed: list[str] = []
    if reading.json_ is not None and reading.json_.fields is not None:
        changed += _names(_follow(document, reading.json_.fields.split(".")))
    if reading.output is not None and reading.output.fields is not None:
        changed += _matches(reading.output.fields, ended.text)
    return Finding(verdict, tuple(list(dict.fromkeys(changed))[:_MOST_FIELDS]), one_line(ended.text))


def _error(reason: str, ended: Ended) -> Finding:
    said = one_line(ended.stderr.decode("utf-8", "replace")) or one_line(ended.text)
    return Finding("error", detail=f"{reason}; it last said: {said}" if said else reason)


def _by_exit(reading: VerdictReading, ended: Ended) -> tuple[str | None, str]:
    for verdict in _VERDICTS:
        if ended.status in getattr(reading.exit, verdict):
            return verdict, ""
    return None, "the client's exit status means no verdict"


def _by_output(reading: OutputReading, text: str) -> tuple[str | None, str]:
    found = [
        verdict
        for verdict in _VERDICTS
        if (pattern := getattr(reading, verdict)) is not None and re.search(pattern, text, re.MULTILINE)
    ]
    if len(found) == 1:
        return found[0], ""
    if found:
        return None, f"the client's output means {' and '.join(found)} at once"
    return None, "the client's output means no verdict"


def _matches(pattern: str, text: str) -> Iterable[str]:
    for match in re.finditer(pattern, text, re.MULTILINE):
        name = next((group for group in match.groups() if group is not None), match.group())
        if name.strip():
            yield name.strip()


def _document(stdout: bytes) -> Any:
    """The JSON that was printed: the whole output, or its last line that is an object; else ``None``."""
    text = stdout.decode("utf-8", "replace")
    for candidate in (text, *(line for line in reversed(text.splitlines()) if line.strip().startswith("{"))):
        try:
            return json.loads(candidate)
        except (ValueError, RecursionError):
            continue
    return None


def _by_json(reading: JsonReading, document: Any) -> tuple[str | None, str]:
    if document is None:
        return None, "the client printed no JSON"
    values = _follow(document, reading.verdict.split("."))
    if not values:
        return None, f"the client's JSON has no '{reading.verdict}'"
    for verdict in _VERDICTS:
        # In Python True equals 1; in JSON it does not.
        if any(values[0] == each and type(values[0]) is type(each) for each in getattr(reading, verdict)):
            return verdict, ""
    return None, f"'{reading.verdict}' in the client's JSON is {one_line(json.dumps(values[0]))}, no verdict"


def _follow(document: Any, path: list[str]) -> list[Any]:
    """The values at a path; ``*`` is every item of a list or an object."""
    found = [document]
    for step in path:
        following: list[Any] = []
        for each in found:
            if isinstance(each, dict):
                following += list(each.values()) if step == "*" else [each[step]] if step in each else []
            elif isinstance(each, list) and step == "*":
                following += each
            elif isinstance(each, list) and step.isdecimal() and int(step) < len(each):
                following.append(each[int(step)])
        found = following
    return found


def _names(values: list[Any]) -> Iterable[str]:
    for value in values:
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, str) and each.strip():
                yield each.strip()
