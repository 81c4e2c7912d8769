"""What the parts of the bench have in common."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

ROUNDS: Final = 7


class Row(NamedTuple):
    """A line of the table: what was measured, the middle value with the spread, what it is held against."""

    what: str
    measured: str
    against: str = ""


@dataclass(frozen=True)
class Part:
    """``measure``: what it costs, as JSON has it. ``obstacle``: why it can't be measured here, if so."""

    name: str
    measure: Callable[[], dict[str, Any]]
    rows: Callable[[dict[str, Any]], Iterator[Row]]
    obstacle: Callable[[], str | None] = lambda: None


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and greatest."""
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
        "rounds": len(values),
    }


def show(values: dict[str, float], unit: str) -> str:
    """A spread in words."""
    middle, least, most = (_number(values[each]) for each in ("median", "min", "max"))
    return f"{middle} {unit} ({least} to {most})"


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:,.1f}"
