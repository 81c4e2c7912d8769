"""Checks what detectors and scenarios return, before anything uses it. A plug-in may return anything."""

from __future__ import annotations

from typing import Any, Final

from siplab.experiments.trial.stage import Check, Finding
from siplab.lab.foreign import LONGEST_LINE, clipped, one_line

VERDICTS: Final = ("alg", "clean", "undecided", "error")
_MOST: Final = 100  # entries in each list: names of parts, faults, sentences


def finding(answer: object) -> Finding:
    """The detector's answer, with long texts cut; or the verdict ``error`` with the reason."""
    if not isinstance(answer, Finding):
        return Finding("error", detail=f"it returned {_kind(answer)}, not a Finding")
    if not isinstance(answer.verdict, str) or answer.verdict not in VERDICTS:
        return Finding(
            "error", detail=f"its verdict is {_shown(answer.verdict)}, none of {', '.join(VERDICTS)}"
        )
    if not isinstance(answer.detail, str):
        return Finding("error", detail=f"the detail of its finding is {_kind(answer.detail)}, not a text")
    rows: dict[str, tuple[str, ...]] = {}
    for name in ("changed", "faults", "evidence"):
        row: Any = getattr(answer, name)
        if not isinstance(row, tuple | list) or not all(isinstance(each, str) for each in row):
            return Finding("error", detail=f"'{name}' of its finding is not a tuple of texts")
        rows[name] = tuple(clipped(each, LONGEST_LINE) for each in row[:_MOST])
    return Finding(str.__str__(answer.verdict), detail=clipped(answer.detail), **rows)


def checks(found: object) -> tuple[list[Check], list[str]]:
    """The checks of a scenario, and what is wrong with them. What is no list of checks gives none."""
    if not isinstance(found, list) or not all(isinstance(each, Check) for each in found):
        return [], ["the stage's checks are no longer a list of checks"]
    return found, []


def _kind(value: object) -> str:
    return "nothing" if value is None else one_line(type(value).__name__)


def _shown(value: object) -> str:
    return (
        one_line(repr(value))
        if isinstance(value, str | int | float | bool) or value is None
        else _kind(value)
    )
