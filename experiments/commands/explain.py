"""`siplab explain`: why the checks of a stored run failed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer
from pydantic import BaseModel, ValidationError
from rich.text import Text

from siplab.experiments.commands.options import AsJson
from siplab.experiments.explain import explain as explain_checks
from siplab.experiments.output import console, journal
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.result import Explanation
from siplab.experiments.trial.spec import TrialSpec, seed_of
from siplab.experiments.trial.stage import Check
from siplab.lab import documents
from siplab.lab.errors import UsageError
from siplab.lab.plain_data import PlainDataError, from_json
from siplab.lab.worlds.trace import from_json_lines

_SPEC: Final = ("topology", "model", "scenario", "detector", "mitigations", "seed", "control", "gateway")
_KINDS: Final = ("phone", "server")


app = typer.Typer(add_completion=False)


@app.command()
def explain(
    place: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="The folder of a run with --out, or its results.json.")
    ],
    name: Annotated[
        str, typer.Option("--trial", help="This trial only: its name, or a part of it.", metavar="NAME")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Say why checks of a stored run failed, and what the router did.

    The message at which things went wrong, and the rule that it breaks.
    """
    folder, rows = _load(place)
    found = []
    matching = 0
    for row in rows:
        spec = _spec(row, place)
        if name in (spec.name, ""):
            exact = True
        elif name in spec.name:
            exact = False
        else:
            continue
        matching += 1
        failed = [each for each in row.get("checks", ()) if not each["passed"]]
        if failed:
            found.append((exact, spec, _explained(row, spec, folder), failed))
    if name and not matching:
        raise UsageError(f"{place}: no trial is called '{name}'")
    if any(exact for exact, *_ in found):
        found = [each for each in found if each[0]]
    if as_json:
        data = [{"trial": spec.name, "explanation": reasons} for _, spec, reasons, _ in found]
        console.print_json(data)
        return
    _print(found)


def _print(found: list[tuple[bool, TrialSpec, list[dict[str, Any]], list[dict[str, Any]]]]) -> None:
    output = console.output()
    if not found:
        output.print("No check failed.")
    for _, spec, reasons, failed in found:
        output.print(Text(spec.name.replace("__", ", "), style="bold"))
        if not reasons:
            names = ", ".join(each["name"] for each in failed)
            output.print(Text(f"  failed: {names}; there is no trace of it to explain it from"))
        for each in reasons:
            output.print(Text(f"  {each['check']}", style="red"))
            console.print_folded(each["text"], output, 4)
        output.print()


def _load(place: Path) -> tuple[Path, list[dict[str, Any]]]:
    """The folder and the trials in it. Raises ``UsageError``."""
    if not place.exists():
        raise UsageError(f"{place}: no such file or folder; it is what --out of `siplab run` was given")
    folder, path = (place, place / "results.json") if place.is_dir() else (place.parent, place)
    if place.is_dir() and not path.exists():
        path = place / journal.NAME  # the run was killed
        if not path.exists():
            raise UsageError(
                f"{place}: no results.json in it; `siplab run EXPERIMENT --out FOLDER` writes it"
            )
    if path.name == journal.NAME:
        results, damaged = journal.results_in(path)
        if damaged:
            console.say(f"{path}: {damaged} damaged lines are skipped")
        return folder, results
    text = documents.text(path)
    try:
        data = from_json(text)
    except PlainDataError as error:
        raise UsageError(f"{path}{error.place}: no results of `siplab run`: {error}") from None
    if not isinstance(data, dict) or not isinstance(data.get("trials"), list):
        raise UsageError(f"{path}: no results of `siplab run`: there is no list of trials in it")
    return folder, data["trials"]


class _Stored(BaseModel):
    """What must be sound in a stored trial for it to be explained."""

    topology: str
    model: str
    scenario: str = ""
    detector: str = ""
    mitigations: list[str] = []
    seed: int = 1
    control: str = ""
    gateway: str = "queue"
    phone: str = ""
    server: str = ""
    checks: list[Check] = []
    explanation: list[Explanation] = []


def _spec(row: dict[str, Any], place: Path) -> TrialSpec:
    try:
        _Stored.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise UsageError(f"{place}: a trial in it is none: field '{field}': {first['msg']}") from None
    values = {name: row[name] for name in (*_SPEC, *_KINDS) if name in row}
    return TrialSpec(**{**values, "mitigations": tuple(values.get("mitigations", ()))})


def _explained(row: dict[str, Any], spec: TrialSpec, folder: Path) -> list[dict[str, Any]]:
    """The explanation that is stored with a result, else one from the trial's trace."""
    stored: list[dict[str, Any]] = row.get("explanation", [])
    path = folder / f"{spec.stem}.trace.jsonl"
    if stored or not path.exists():
        return stored
    text = documents.text(path)
    try:
        trace = from_json_lines(text)
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None
    checks = [Check(**each) for each in row["checks"]]
    found = explain_checks(checks, trace, trial.network_of(spec), seed_of(spec))
    return [vars(each) for each in found]
