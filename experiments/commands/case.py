"""``siplab case``: stories from the field, run and checked against what was reported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

from siplab.experiments import cases
from siplab.experiments.cases import playing
from siplab.experiments.cases.playing import Verdict
from siplab.experiments.cases.schema import Case, Step
from siplab.experiments.commands.options import AsJson, Jobs, Report
from siplab.experiments.commands.worlds import Worlds, worlds_of
from siplab.experiments.output import book, cards, commands
from siplab.experiments.output.console import errors, grid, output, print_exact, print_folded, print_json
from siplab.experiments.output.files import check_writable, write_text
from siplab.experiments.output.progress import TrialProgress
from siplab.experiments.trial import run as trial
from siplab.lab.counting import number_of

_STYLES: Final = {"works": "green", "fails": "bold red", "varies": "bold yellow"}
_HEADS: Final = ("", "what is claimed", "router's ALG and the rest", "work", "what failed first", "confirmed")
_WIDTH: Final = 100  # of the paragraphs, in characters


app = typer.Typer(add_completion=False)


@app.command()
def case(
    name: Annotated[
        str, typer.Argument(metavar="[CASE]", help="Its id, or a YAML file. Without one: list them.")
    ] = "",
    world: Worlds = "auto",
    jobs: Jobs = 1,
    report: Report = None,
    as_json: AsJson = False,
) -> None:
    """Run a story from the field, and check that what was reported is what comes out."""
    console = output()
    if not name:
        _list(console, as_json=as_json)
        return
    chosen = cases.load(name)
    if report is not None:
        check_writable(report)
    worlds, why = worlds_of(world)
    total = len(worlds) * sum(len(step.trials()) for step in chosen.steps)
    with TrialProgress(total, errors()) as advance:
        verdicts = playing.play(chosen.steps, worlds, jobs, advance)
    if report is not None:
        write_text(report, _page(chosen))
    if as_json:
        print_json(_as_data(chosen, verdicts, worlds))
    else:
        _tell(chosen, verdicts, console)
        places = " and the ".join(f"{each} world" for each in worlds)
        console.print(Text(f"{number_of(total, 'trial')} in the {places} ({why}).", style="dim"))
    if not all(each.holds for each in verdicts):
        raise typer.Exit(1)


def _page(chosen: Case) -> str:
    """The first trial of each step."""
    steps = []
    for number, step in enumerate(chosen.steps, 1):
        result, trace = trial.run(step.trials()[0])  # in memory: the same bytes as in the other world
        steps.append((f"Step {number}: {step.claim}", result, trace))
    return book.titled(steps, chosen.title, f"After {chosen.source}. {chosen.lesson}")


def _list(console: Console, *, as_json: bool) -> None:
    known = [cases.load(each) for each in cases.available()]
    rows = [{"id": each.id, "summary": f"{each.title}. {each.source}."} for each in known]
    if as_json:
        print_json(rows)
    else:
        cards.print_rows(rows, console)


def _tell(chosen: Case, verdicts: Sequence[Verdict], console: Console) -> None:
    print_folded(chosen.title, console, style="bold")
    print_folded(f"After {chosen.source}.", console, style="italic")
    console.print()
    console.print(Text(chosen.story), width=min(_WIDTH, console.width))
    console.print()
    rows = [
        (
            str(number),
            _claim(each.step),
            _setting(each.step),
            Text(f"{each.working} of {each.trials}", style=_STYLES.get(each.measured or "", "red")),
            "\n".join(f"{name} ({count})" for name, count in each.noticed.items()) or "–",
            Text("yes", style="green") if each.holds else Text("NO", style="bold white on red"),
        )
        for number, each in enumerate(verdicts, 1)
    ]
    console.print(grid(_HEADS, rows, console.width))
    console.print()
    for number, each in enumerate(verdicts, 1):
        for doubt in each.doubts:
            console.print(Text(f"Step {number} is not what is claimed: {doubt}.", style="bold red"))
    for number, each in enumerate(verdicts, 1):
        for example in each.examples:
            console.print(Text(f"Step {number}, why '{example.check}' fails", style="bold"))
            for text in (example.why, each.step.because):
                if text:
                    print_folded(text, console, 2)
            print_exact(f"  {commands.call(example.spec)}", console, "dim")
            console.print()
    console.print(Text("What to learn", style="bold"))
    print_folded(chosen.lesson, console, 2)
    console.print()
    if chosen.assumptions:
        console.print(Text("What the report does not say, and the lab assumes", style="bold"))
        for assumption in chosen.assumptions:
            print_folded(f"- {assumption}", console, 2, hanging=2)
        console.print()


def _claim(step: Step) -> Text:
    mark = "cured by: " if step.cure else "the lab adds: " if step.by == "lab" else ""
    return Text.assemble((mark, "italic"), step.claim)


def _setting(step: Step) -> str:
    named = (("phone", step.phone), ("server", step.server), ("far phone", step.far_phone))
    kinds = [f"{kind} {each}" for kind, each in named if each]
    return "\n".join([step.model, *kinds, *step.mitigations, step.topology])


def _as_data(chosen: Case, verdicts: Sequence[Verdict], worlds: Sequence[str]) -> dict[str, Any]:
    return {
        "id": chosen.id,
        "title": chosen.title,
        "source": chosen.source,
        "holds": all(each.holds for each in verdicts),
        "worlds": list(worlds),
        "steps": [
            {
                **each.step.model_dump(),
                "measured": each.measured,
                "working": each.working,
                "trials": each.trials,
                "noticed": dict(each.noticed),
                "doubts": list(each.doubts),
                "examples": [
                    {"check": example.check, "why": example.why, "command": commands.call(example.spec)}
                    for example in each.examples
                ],
            }
            for each in verdicts
        ],
    }
