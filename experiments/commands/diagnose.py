"""`siplab diagnose`: what captures say of a router, whom that harms, and what cures it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from siplab.experiments import captures
from siplab.experiments.captures.comparison import Verdict
from siplab.experiments.commands.compare_captures import STATUS
from siplab.experiments.commands.options import AsJson
from siplab.experiments.diagnosis import one_side
from siplab.experiments.diagnosis.diagnosing import Diagnosis, diagnose, diagnose_pair
from siplab.experiments.diagnosis.sentences import sentences
from siplab.experiments.learning import writing
from siplab.experiments.output import console, files
from siplab.experiments.probe_pack import pair_file
from siplab.lab.errors import UsageError

app = typer.Typer(add_completion=False)
_SHOWN = 8


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
    if len(paths) > 2:
        raise UsageError("one capture, or two: one from each side of the router")
    if report is not None:
        files.check_writable(report)
    if any(map(pair_file.is_pair_file, paths)):
        if len(paths) > 1:
            raise UsageError("a pair file has both sides: give it alone")
        found, left_out = diagnose_pair(pair_file.read(paths[0]), paths[0]), []
    else:
        read = [captures.read(each) for each in paths]
        found = diagnose(read)
        left_out = [line for each in read for line in each.lines()]
    lines = _lines(found)
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


def _lines(found: Diagnosis) -> list[str]:
    if found.one_sided is not None:
        return one_side.sentences(found.one_sided)
    assert found.comparison is not None
    lines = sentences(found.comparison)
    if found.obstacle:
        lines.append(found.obstacle)
    if found.learnt is None:
        return lines
    tie = [each.id for each in found.learnt.found.tie]
    named = ", ".join(tie[:_SHOWN]) + (f" and {len(tie) - _SHOWN} more" if len(tie) > _SHOWN else "")
    if found.learnt.found.distance:
        agreed = found.learnt.agreement
        rules = " with rules read off them" if found.learnt.rules is not None else ""
        lines.append(
            f"No known behaviour is all of this; nearest: {named}. {agreed.equal} of "
            f"{agreed.total} messages are explained{rules}."
        )
    elif len(tie) > 1:
        lines.append(f"It behaves as one of {len(tie)} models that this can't tell apart: {named}.")
    else:
        lines.append(f"It behaves as the model '{tie[0]}'.")
    for harm in found.harms:
        lines.append(f"In the lab, {harm.scenario} fails: {harm.check}. {harm.symptom}")
        if harm.why:
            lines.append(harm.why)
        cures = ", ".join(harm.cures) or "none of the lab's"
        lines.append(f"Remedies that cure it there: {cures}.")
    if not found.harms:
        lines.append("In the lab, calls with this router work; other phones and servers may fare otherwise.")
    return lines


def _data(found: Diagnosis, lines: list[str], left_out: list[str]) -> dict[str, Any]:
    return {
        "verdict": found.verdict.value,
        "sentences": lines,
        "family": found.one_sided.family.value if found.one_sided is not None else None,
        "learnt": writing.as_data(found.learnt) if found.learnt is not None else None,
        "harms": [asdict(each) for each in found.harms],
        "left_out": left_out,
    }
