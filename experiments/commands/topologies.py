"""``siplab topologies``: the networks, listed, drawn, and as data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from siplab import topologies as topology_files
from siplab.experiments.output import cards, drawing
from siplab.lab.errors import UsageError

group = typer.Typer(
    help="The networks: list them, or show ID.", invoke_without_command=True, no_args_is_help=False
)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@group.callback()
def listing(context: typer.Context, as_json: AsJson = False) -> None:
    """The networks: list them, or show ID."""
    if context.invoked_subcommand is not None:
        return
    rows = cards.topologies()
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        cards.print_rows(rows, Console())


@group.command("show")
def show(
    identifier: Annotated[
        str, typer.Argument(metavar="ID", help="ID, a YAML file, or either with (parameter=value).")
    ],
    as_json: AsJson = False,
    svg: Annotated[Path | None, typer.Option(help="Write the drawing to this SVG file too.")] = None,
) -> None:
    """Draw one of them."""
    topology = topology_files.load(identifier)
    if svg is not None:
        try:
            svg.write_text(drawing.as_svg(topology), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"--svg {svg}: {error.strerror}") from None
    if as_json:
        print(json.dumps(cards.topology(identifier), indent=2, ensure_ascii=False))
    else:
        print(drawing.as_text(topology), end="")
