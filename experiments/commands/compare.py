"""``siplab compare``: what two runs of ``siplab matrix`` say differently."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text

from siplab.experiments.commands.matrix import load
from siplab.experiments.output import book, compatibility, console, files
from siplab.experiments.output.compatibility import Cell

app = typer.Typer(add_completion=False)
_HEADS: Final = ("router", "scenario", "remedy", "setting", "was", "is")


@app.command()
def compare(
    old: Annotated[Path, typer.Argument(metavar="OLD.json", help="What `siplab matrix --json` wrote.")],
    new: Annotated[Path, typer.Argument(metavar="NEW.json", help="The same of a later run.")],
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="The page of the new run with the differences marked."),
    ] = None,
) -> None:
    """What two runs of `siplab matrix` say differently.

    Exit status: 0 nothing is worse, 1 something is, 2 bad input.
    """
    before, after = load(old), load(new)
    found = compatibility.differences(before, after)
    if html is not None:
        files.check_writable(html)
        files.write_text(html, book.of_matrix(after, {}, None, before=before))
    output = console.output()
    if not found:
        output.print("No cell differs.")
        return
    rows = [
        (
            each.key.subject,
            each.key.scenario,
            each.key.remedy or "-",
            ", ".join(filter(None, (each.key.topology, each.key.phone, each.key.server))),
            _said(each.before),
            Text(_said(each.after), style="red" if each.worse else ""),
        )
        for each in found
    ]
    output.print(console.grid(_HEADS, rows, output.width))
    worse = sum(each.worse for each in found)
    output.print(f"{len(found)} cells differ, {worse} are worse")
    if worse:
        raise typer.Exit(1)


def _said(cell: Cell | None) -> str:
    return "-" if cell is None else compatibility.word(cell)
