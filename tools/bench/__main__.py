"""Measure what the lab costs, print it, and write ``out/bench.json``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from siplab.lab.outputs import write_text
from tools.bench import (
    captures,
    combined,
    detect,
    endpoints,
    executors,
    hour,
    lab,
    models,
    office,
    queue,
    sandbox,
    score,
    shapes,
    sharing,
    simulated,
    sipp,
    startup,
    sweep,
    trials,
)

PARTS: Final = {
    each.PART.name: each.PART
    for each in (
        startup, captures, sweep, sharing, office, executors, simulated, endpoints, hour, models, score,
        combined, detect, shapes, sandbox, queue, lab, trials, sipp,
    )
}  # fmt: skip
_PATH: Final = Path("out/bench.json")


def main() -> None:
    """Measure all parts that can be measured here, or only those that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=list(PARTS), metavar="PART", help=f"one of {', '.join(PARTS)}"
    )
    asked = parser.parse_args().only
    console = Console()
    table = Table("what", "measured: median (spread)", "against")
    results: dict[str, Any] = {"python": sys.version.split()[0], "kernel": os.uname().release}
    for name in asked or PARTS:
        obstacle = PARTS[name].obstacle()
        if obstacle is not None:
            table.add_row(name, "not measured here", obstacle)
            continue
        with console.status(name):
            results[name] = PARTS[name].measure()
        for row in PARTS[name].rows(results[name]):
            table.add_row(*row)
    if asked:
        console.print_json(json.dumps(results))
    console.print(table)
    if not asked:
        _PATH.parent.mkdir(exist_ok=True)
        write_text(_PATH, json.dumps(results, indent=2) + "\n")
        console.print(f"written to {_PATH}")


if __name__ == "__main__":
    main()
