"""`siplab explain`: why the checks of a stored run failed."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from siplab.experiments.commands import stored
from siplab.experiments.commands.options import AsJson, ModelPath, as_texts
from siplab.experiments.explain import explained
from siplab.experiments.explain.what_if import Answer, what_if
from siplab.experiments.output import console, journal
from siplab.experiments.trial import runner
from siplab.experiments.trial.counterfactual.actions import parse
from siplab.experiments.trial.result import Basis, TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.experiments.trial.stage import Check
from siplab.lab.errors import UsageError

app = typer.Typer(add_completion=False)


@app.command()
def explain(
    place: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="The folder of a run with --out, or its results.json.")
    ],
    name: Annotated[
        str, typer.Option("--trial", help="This trial only: its name, or a part of it.", metavar="NAME")
    ] = "",
    undo: Annotated[
        list[str],
        typer.Option(
            help="What if the router had not done this? Like 'Record-Route in', 'SDP c= of 200 OK (INVITE)', "
            "'drop of ACK', 'policy fragments'; repeatable.",
            metavar="ACTION",
        ),
    ] = [],  # noqa: B006 - typer's way
    model_path: ModelPath = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """Say why checks of a stored run failed, and what the router did.

    Which action of the router has to be undone for them to pass, the message at which things went wrong, and
    the rule that it breaks.
    """
    folder, rows = stored.load(place)
    actions = [parse(each) for each in undo]
    found = []
    matching = 0
    for row in rows:
        spec = replace(stored.spec_of(row, place), model_paths=as_texts(model_path))
        if name in (spec.name, ""):
            exact = True
        elif name in spec.name:
            exact = False
        else:
            continue
        matching += 1
        failed = [each for each in row.get("checks", ()) if not each["passed"]]
        if failed:
            found.append((exact, spec, row, failed))
    if name and not matching:
        raise UsageError(f"{place}: no trial is called '{name}'")
    if any(exact for exact, *_ in found):
        found = [each for each in found if each[0]]
    if actions:
        answers = [what_if(spec, [each["name"] for each in failed], actions) for _, spec, _, failed in found]
        _print_answers(answers, as_json=as_json)
        return
    reasons = [(spec, _explained(row, spec, folder), failed) for _, spec, row, failed in found]
    if as_json:
        console.print_json([{"trial": spec.name, "explanation": each} for spec, each, _ in reasons])
        return
    _print(reasons)


def _print_answers(answers: list[Answer], *, as_json: bool) -> None:
    if as_json:
        console.print_json([each.as_json() for each in answers])
        return
    output = console.output()
    if not answers:
        output.print("No check failed.")
    for each in answers:
        output.print(Text(each.spec.name.replace("__", ", "), style="bold"))
        for line in each.lines():
            console.print_folded(line, output, 2)
        output.print()


def _print(found: list[tuple[TrialSpec, list[dict[str, Any]], list[dict[str, Any]]]]) -> None:
    output = console.output()
    if not found:
        output.print("No check failed.")
    for spec, reasons, failed in found:
        output.print(Text(spec.name.replace("__", ", "), style="bold"))
        if not reasons:
            names = ", ".join(each["name"] for each in failed)
            output.print(Text(f"  failed: {names}; there is no trace of it to explain it from"))
        for each in reasons:
            output.print(Text(f"  {each['check']}", style="red"))
            console.print_folded(each["text"], output, 4)
        output.print()


def _explained(row: dict[str, Any], spec: TrialSpec, folder: Path) -> list[dict[str, Any]]:
    """The explanation that is stored with a result if it is proven, else one with a proof."""
    stored: list[dict[str, Any]] = row.get("explanation", [])
    if any(each.get("basis", Basis.MECHANISM) != Basis.MECHANISM for each in stored):
        return stored
    trace = journal.stored_trace(folder, spec.stem)
    if trace is None:
        if stored or spec.by_wall_clock or spec.gateway == "kernel" or row["errors"]:
            return stored
        _, trace = runner.run_traced(spec, "simulated")  # it was not kept, and comes out the same
    result = TrialResult(spec, row["world"], [Check(**each) for each in row["checks"]], errors=row["errors"])
    return [asdict(each) for each in explained(result, trace).explanation]
