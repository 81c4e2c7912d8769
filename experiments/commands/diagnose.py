"""`siplab diagnose`: what captures say of a router, whom that harms, and what cures it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from siplab.experiments.captures.comparison import Verdict
from siplab.experiments.commands.compare_captures import STATUS
from siplab.experiments.commands.options import AsJson
from siplab.experiments.diagnosis.diagnosing import Diagnosis, diagnose_files
from siplab.experiments.diagnosis.words import words
from siplab.experiments.learning import writing
from siplab.experiments.output import console, files

app = typer.Typer(add_completion=False)


@app.command("diagnose")
def diagnose_command(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="One capture, one of each side of the router, or a pair file of the probe pack.",
        ),
    ],
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.txt", help="Write what is said into a file as well.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What captures say of a router, whom that harms, and what cures it.

    Two sides are needed for a diagnosis: two files, or one that has both, as a pair file does. One side alone
    tells a family of behaviour, and what to capture next. Captures need `pip install 'siplab[captures]'`.
    Exit status: 0 clean, 1 an ALG, 2 bad input, 3 undecided.
    """
    if report is not None:
        files.check_writable(report)
    found, left_out = diagnose_files(paths)
    lines = words(found)
    if report is not None:
        files.write_text(
            report, "\n".join([found.verdict.value, *map(console.visible, lines + left_out), ""])
        )
    if as_json:
        console.print_json(_data(found, lines, left_out))
    else:
        output = console.output()
        style = {Verdict.CLEAN: "green", Verdict.ALG: "red", Verdict.UNDECIDED: "yellow"}[found.verdict]
        output.print(Text(found.verdict.value, style=style))
        for line in lines:
            console.print_folded(line, output, 2, hanging=2)
        for line in left_out:
            console.print_folded(line, output, style="dim")
    if found.verdict is not Verdict.CLEAN:
        raise typer.Exit(STATUS[found.verdict])


def _data(found: Diagnosis, lines: list[str], left_out: list[str]) -> dict[str, Any]:
    return {
        "verdict": found.verdict.value,
        "sentences": lines,
        "family": found.one_sided.family.value if found.one_sided is not None else None,
        "learnt": writing.as_data(found.learnt) if found.learnt is not None else None,
        "harms": [asdict(each) for each in found.harms],
        "left_out": left_out,
    }
