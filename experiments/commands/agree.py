"""``siplab agree``: do the lab's phones and servers fail as real ones do?"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Annotated, Final

import typer

from siplab.experiments.commands.options import AsJson, Jobs, names
from siplab.experiments.output import console, files
from siplab.experiments.output.progress import TrialProgress
from siplab.experiments.programs import agreement
from siplab.experiments.programs.agreement import Cell, Row
from siplab.experiments.trial import run as trial
from siplab.experiments.trial import runner
from siplab.lab.errors import UsageError

app = typer.Typer(add_completion=False)
GOAL: Final = 0.97
SCENARIOS: Final = ("register", "outgoing-call", "incoming-call", "hold(pause=4)", "transfer")


@app.command()
def agree(
    model: Annotated[list[str], names(help="A model; repeatable.")] = [],  # noqa: B006 - typer's way
    scenario: Annotated[list[str], names(help="A scenario; repeatable.")] = [],  # noqa: B006
    phone: Annotated[list[str], names(help="A real phone; repeatable. Default: baresip.")] = [],  # noqa: B006
    server: Annotated[list[str], names(help="A real server; repeatable. Default: kamailio.")] = [],  # noqa: B006
    cells: Annotated[Path | None, typer.Option(help="Play the cells of this file instead.")] = None,
    write: Annotated[Path | None, typer.Option(help="Write what real software had to this file.")] = None,
    repeat: Annotated[int, typer.Option(min=1, help="Runs of a cell that does not agree.")] = 3,
    jobs: Jobs = 4,
    as_json: AsJson = False,
) -> None:
    """Play models with real software too: does the same fail first?

    Exit status: 0 at least 97 % of the cells agree, 1 fewer do, 2 bad input.
    """
    known: dict[Cell, str] = {}
    if cells is not None:
        if model or scenario or phone or server:
            raise UsageError("--cells names models, scenarios, phones and servers: leave the others out")
        known = dict(agreement.read(cells))
        wanted = list(known)
    else:
        if not model:
            raise UsageError("name the models with --model, or a file of cells with --cells")
        wanted = [
            Cell(*each)
            for each in product(phone or ["baresip"], server or ["kamailio"], model, scenario or SCENARIOS)
        ]
    for cell in wanted:
        trial.check_spec(cell.real())
        trial.check_spec(cell.lab())
    if write is not None:
        files.check_writable(write)
    runner.choose_world("emulated")
    with TrialProgress(len(wanted), console.errors()) as advance:
        rows = agreement.play(wanted, jobs=jobs, repeat=repeat, expected=known.get, progress=advance)
    if write is not None:
        write.write_text(agreement.written(rows, agreement.versions(wanted)), encoding="utf-8")
    if as_json:
        console.print_json(
            [{**vars(row.cell), "real": row.real, "lab": row.lab, "agrees": row.agrees} for row in rows]
        )
    else:
        _print(rows, known)
    agreed = sum(row.agrees for row in rows)
    if agreed < GOAL * len(rows):
        raise typer.Exit(1)


def _print(rows: list[Row], known: dict[Cell, str]) -> None:
    output = console.output()
    for row in rows:
        cell = row.cell
        what = f"{cell.phone:12}{cell.server:24}{cell.model:34}{cell.scenario:16}"
        notes = [row.real if row.agrees else f"{row.real}   the lab: {row.lab}"]
        if len(row.counts) > 1:
            notes.append(", ".join(f"{name} {count}x" for name, count in row.counts))
        before = known.get(cell)
        if before is not None and before != row.real:
            notes.append(f"it was: {before}")
        console.print_exact(f"{what}{'   '.join(notes)}", output)
    agreed = sum(row.agrees for row in rows)
    console.print_exact(f"{agreed} of {len(rows)} cells agree ({agreed / len(rows):.1%})", output)
