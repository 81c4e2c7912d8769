"""``siplab topologies``: the networks, listed, drawn, and as data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from siplab import topologies as topology_files
from siplab.experiments.commands import listing
from siplab.experiments.commands.listing import Words
from siplab.experiments.commands.options import AsJson
from siplab.experiments.output import cards, console, drawing, files

app = listing.group()


@app.command("list")
def listed(words: Words = [], as_json: AsJson = False) -> None:  # noqa: B006 - typer's way
    """List them; this is what is done where no command is named."""
    listing.print_list(cards.topologies(), words, "topologies", as_json=as_json)


@app.command("show")
def shown(
    identifier: Annotated[
        str, typer.Argument(metavar="ID", help="ID, a YAML file, or either with (parameter=value).")
    ],
    as_json: AsJson = False,
    svg: Annotated[Path | None, typer.Option(help="Write the drawing to this SVG file too.")] = None,
) -> None:
    """Draw one of them; where the terminal is too narrow for that, list who is where."""
    topology = topology_files.load(identifier)
    if svg is not None:
        files.write_text(svg, drawing.as_svg(topology))
    if as_json:
        console.print_json(cards.topology(identifier))
        return
    output = console.output()
    # Into a file it is as wide as it has to be.
    width = output.width if output.is_terminal or "COLUMNS" in os.environ else 10_000
    lines = drawing.as_text(topology).splitlines()[1:]
    title = console.folded(f"{topology.id}: {topology.summary}", width)
    narrow = drawing.layout(topology).width > width
    for line in drawing.as_list(topology, width) if narrow else (*title, *lines):
        console.print_exact(line, output)
