"""``siplab report``: the page of a stored run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from siplab.experiments.commands import stored
from siplab.experiments.commands.options import DetectorPath, ModelPath, ScenarioPath, as_texts
from siplab.experiments.output import book, console, files, journal
from siplab.experiments.output.progress import TrialProgress
from siplab.experiments.output.schemas import TrialRow
from siplab.lab import documents
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
    model_path: ModelPath = [],  # noqa: B006 - typer's way
    scenario_path: ScenarioPath = [],  # noqa: B006
    detector_path: DetectorPath = [],  # noqa: B006
) -> None:
    """A page of a stored run: one HTML file, every failing trial in it.

    The file needs nothing but a browser, and no network: an index, and each trial message by message.
    Models, scenarios and detectors of your own are named as they were for the run.
    """
    folder, rows = stored.load(place)
    path = folder / "report.html" if out is None else out
    files.check_writable(path)
    results = []
    for number, row in enumerate(rows, 1):
        try:
            TrialRow.model_validate(row)
        except ValidationError as error:
            raise UsageError(f"{place}: trial {number}: {documents.fault(error)}") from None
        spec = replace(
            stored.spec_of(row, place),
            model_paths=as_texts(model_path),
            scenario_paths=as_texts(scenario_path),
            detector_paths=as_texts(detector_path),
        )
        results.append(journal.from_json(spec, row))
    with TrialProgress(len(results), console.errors()) as advance:
        text = book.of_many(f"Trials in {folder.name}", "", results, folder=folder, progress=advance)
    files.write_text(path, text)
    console.say(f"{path}: {console.number_of(len(results), 'trial')}")
