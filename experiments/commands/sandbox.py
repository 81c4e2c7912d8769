"""``siplab sandbox``: the laboratory as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from siplab.experiments.output import console, files
from siplab.experiments.sandbox import parts
from siplab.experiments.sandbox.licence import SPDX_ID
from siplab.experiments.sandbox.page import page

app = typer.Typer(add_completion=False)


@app.command()
def sandbox(
    path: Annotated[Path, typer.Argument(metavar="FILE.html", help="The page.")],
    captures: Annotated[
        bool,
        typer.Option("--captures", help="Diagnose captures that are dropped on the page; scapy reads them."),
    ] = False,
) -> None:
    """The laboratory as one HTML file, for any browser, without a network.

    Making it needs npm and pip; Pyodide and wheels are fetched once, and kept in the user's cache. With
    --captures scapy (GPL-2.0-only) is in the file: who passes that on passes it on under GPL-2.0-only.
    """
    files.check_writable(path)
    text = page(parts.fetch(captures=captures))
    files.write_text(path, text)
    console.say(f"{path}: {len(text) / 1_000_000:.1f} MB; open it in a browser")
    if captures:
        console.say(f"{path} has scapy in it, and is under {SPDX_ID}")
