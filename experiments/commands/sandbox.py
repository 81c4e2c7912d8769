"""``siplab sandbox``: the laboratory as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from siplab.experiments.output import console, files
from siplab.experiments.sandbox import parts
from siplab.experiments.sandbox.page import page

app = typer.Typer(add_completion=False)


@app.command()
def sandbox(
    path: Annotated[Path, typer.Argument(metavar="FILE.html", help="The page.")],
) -> None:
    """The laboratory as one HTML file, for any browser, without a network.

    Making it needs npm and pip; Pyodide and wheels are fetched once, and kept in the user's cache.
    """
    files.check_writable(path)
    text = page(parts.fetch())
    files.write_text(path, text)
    console.say(f"{path}: {len(text) / 1_000_000:.1f} MB; open it in a browser")
