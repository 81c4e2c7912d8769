"""What the parts of the benchmark have in common."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any, Final, NamedTuple

from siplab.experiments.trial import worker
from siplab.lab.worlds.emulated.bubble import Bubble, serve

ROUNDS: Final = 7


class Row(NamedTuple):
    """A line of the table: what was measured, the median with its spread, and what it is compared with."""

    what: str
    measured: str
    against: str = ""


@dataclass(frozen=True)
class Part:
    """``measure``: the costs, as JSON. ``obstacle``: why it can't be measured here, or ``None``."""

    name: str
    measure: Callable[[], dict[str, Any]]
    rows: Callable[[dict[str, Any]], Iterator[Row]]
    obstacle: Callable[[], str | None] = lambda: None


def in_bubble(module: str) -> dict[str, Any]:
    """What a module's ``measured()`` returns in a bubble, where the emulated world is possible."""
    with Bubble("tools.bench.parts:task") as bubble:
        found: dict[str, Any] = bubble.call(module)
        return found


def task(connection: Connection) -> None:
    """Task of the bubble."""
    worker.prepare()
    serve(connection, lambda module: import_module(module).measured())


def spread(values: Sequence[float]) -> dict[str, float]:
    """The median, the least and the greatest value."""
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
        "rounds": len(values),
    }


def show(values: dict[str, float], unit: str) -> str:
    """A spread as text."""
    middle, least, most = (_number(values[each]) for each in ("median", "min", "max"))
    return f"{middle} {unit} ({least} to {most})"


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:,.1f}"
