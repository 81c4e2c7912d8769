"""What ``siplab --help`` costs, compared with the smallest program with typer's help."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final

from tools.bench.parts import ROUNDS, Part, Row, show, spread

_BARE_PROGRAM: Final = """
import typer
app = typer.Typer(help="A program.")
@app.command()
def one(count: int = 1) -> None:
    "One."
@app.command()
def two(count: int = 1) -> None:
    "Two."
app()
"""


def measure() -> dict[str, Any]:
    """Milliseconds of CPU, and their ratio."""

    def cost(*arguments: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments, "--help"], stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    pairs = [(cost("-m", "siplab"), cost("-c", _BARE_PROGRAM)) for _ in range(ROUNDS)]
    return {
        "ms": spread([1000 * own for own, _ in pairs]),
        "times_bare": round(statistics.median(one / other for one, other in pairs), 2),
    }


def rows(found: dict[str, Any]) -> Iterator[Row]:
    yield Row("siplab --help", show(found["ms"], "ms CPU"), f"{found['times_bare']} x a bare typer program")


PART: Final = Part("startup", measure, rows)
