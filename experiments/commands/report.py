"""``siplab report``: the page of a stored run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from siplab.experiments.commands import stored
from siplab.experiments.output import book, console, files, journal
from siplab.experiments.output.progress import TrialProgress
from siplab.experiments.output.schemas import TrialRow
from siplab.lab.errors import UsageError

app = typer.Typer(add_completion=False)


@app.command()
def report(
    place: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="The folder of a run with --out, or its results.json.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE.html", help="The page. Default: report.html in the folder."
        ),
    ] = None,
) -> None:
    """A page of a stored run: one HTML file, every failing trial in it.

    The file needs nothing but a browser, and no network: an index, and each trial message by message.
    """
    folder, rows = stored.load(place)
    path = folder / "report.html" if out is None else out
    files.check_writable(path)
    results = []
    for number, row in enumerate(rows, 1):
        try:
            TrialRow.model_validate(row)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise UsageError(f"{place}: trial {number}: {where}: {first['msg']}") from None
        results.append(journal.from_json(stored.spec_of(row, place), row))
    with TrialProgress(len(results), console.errors()) as advance:
        text = book.of_many(f"Trials in {folder.name}", "", results, folder=folder, progress=advance)
    files.write_text(path, text)
    console.say(f"{path}: {len(results)} trials")
