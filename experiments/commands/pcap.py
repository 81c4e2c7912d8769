"""``siplab pcap``: captures of a stored run, made of its traces."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from siplab.experiments.commands import stored
from siplab.experiments.commands.options import PcapMedia
from siplab.experiments.output import console, files, journal
from siplab.experiments.trial.run import network_of
from siplab.lab.errors import UsageError

app = typer.Typer(add_completion=False)


@app.command()
def pcap(
    place: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="The folder of a run with --out, or its results.json.")
    ],
    only: Annotated[
        str,
        typer.Option("--only", metavar="TEXT", help="Trials with this in their names, as files have them."),
    ] = "",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FOLDER", help="Default: beside the traces.")
    ] = None,
    pcap_media: PcapMedia = "carried",
) -> None:
    """Make captures of the traces that a run has kept.

    Exit status: 0 there are captures, 2 bad input, no trace among the trials, or nowhere to write.
    """
    folder, rows = stored.load(place)
    target = folder if out is None else out
    files.prepare(target)
    written = 0
    for row in rows:
        spec = stored.spec_of(row, place)
        trace = journal.stored_trace(folder, spec.stem) if only in spec.stem else None
        if trace is not None:
            files.write_captures(target, spec.stem, trace, network_of(spec), pcap_media)
            written += 1
    if not written:
        which = f" of a trial with '{only}' in its name" if only else ""
        raise UsageError(
            f"{folder}: no trace{which} is there; `siplab run EXPERIMENT --out FOLDER` keeps them"
        )
    console.say(f"{target}: captures of {console.number_of(written, 'trial')}")
