"""``siplab claims``: what the founding articles say, and what measuring it comes to."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

from siplab.experiments import claims as known
from siplab.experiments.claims import measuring
from siplab.experiments.claims.measuring import Measured
from siplab.experiments.claims.schema import Answer, Claim
from siplab.experiments.commands.options import AsJson, Jobs
from siplab.experiments.commands.worlds import Worlds, worlds_of
from siplab.experiments.output import commands
from siplab.experiments.output.console import errors, grid, output, print_exact, print_folded, print_json
from siplab.experiments.output.progress import TrialProgress

_STYLES: Final = {
    Answer.CONFIRMED: "green",
    Answer.REFUTED: "bold red",
    Answer.DEPENDS: "bold yellow",
    Answer.NOT_MEASURED: "dim",
}

app = typer.Typer(add_completion=False)


@app.command()
def claims(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID|WORDS]", help="A claim's id, or words that stand in it. Without any: list all."
        ),
    ] = None,
    run: Annotated[
        bool, typer.Option("--run", help="Measure all that are found, also where several are.")
    ] = False,
    world: Worlds = "simulated",
    jobs: Jobs = 1,
    as_json: AsJson = False,
) -> None:
    """What the founding articles claim, measured: list, or measure ID."""
    console = output()
    found = known.find(words) if words else list(known.every().values())
    if len(found) > 1 and not run:
        if as_json:
            print_json([_row(each) for each in found])
        else:
            _list(found, console)
        return
    worlds, _ = worlds_of(world)
    total = len(worlds) * sum(len(step.trials()) for each in found for step in measuring.steps_of(each))
    with TrialProgress(total, errors()) as advance:
        measured = [measuring.measure(each, worlds, jobs, advance) for each in found]
    if as_json:
        print_json(
            [{**_row(each.claim), "holds": each.holds, "observations": _seen(each)} for each in measured]
        )
    else:
        for each in measured:
            _tell(each, console)
    if not all(each.holds for each in measured):
        raise typer.Exit(1)


def _row(claim: Claim) -> dict[str, Any]:
    row = claim.model_dump(include={"id", "articles", "says", "question", "depends", "reason", "learn"})
    return {**row, "answer": claim.answer.value}


def _seen(measured: Measured) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {
            "seen": each.step.claim,
            "speaks": measuring.speaks(each.step),
            "working": each.working,
            "trials": each.trials,
            "noticed": dict(each.noticed),
            "doubts": list(each.doubts),
        }
        for each in measured.verdicts
    ]
    rows += [
        {"seen": _counted(each), "speaks": each.asked.speaks, "cards": each.found, "of": each.cards}
        for each in measured.counts
    ]
    return rows


def _answer(claim: Claim) -> Text:
    text = Text(claim.answer.value, style=_STYLES[claim.answer])
    return text.append(claim.beside_the_answer, style="default")


def _list(found: list[Claim], console: Console) -> None:
    rows = [(each.id, ", ".join(each.articles), each.says, _answer(each)) for each in found]
    console.print(grid(("id", "articles", "claim", "measured"), rows, console.width))
    console.print(Text("siplab claims ID shows what measures one, and measures it.", style="dim"))


def _tell(measured: Measured, console: Console) -> None:
    claim = measured.claim
    if claim.question:
        print_folded(claim.question, console, style="italic")
    print_folded(claim.says, console, style="bold")
    console.print(_answer(claim))
    if claim.reason:
        print_folded(claim.reason, console, 2)
    for each in measured.verdicts:
        how = "works" if each.measured == "works" else f"fails at '{', '.join(each.noticed)}'"
        console.print(
            Text.assemble(
                (f"  {measuring.speaks(each.step):<9}", "dim"),
                f"{each.step.claim}: ",
                (f"{each.working} of {each.trials} work" if each.measured == "varies" else how, "bold"),
            )
        )
        print_exact(f"           {commands.call(each.step.trials()[0])}", console, "dim")
        for doubt in each.doubts:
            console.print(Text(f"           is not so: {doubt}", style="bold red"))
    for count in measured.counts:
        style = "" if count.holds else "bold red"
        console.print(
            Text(f"  {count.asked.speaks:<9}{_counted(count)}: {count.found} of {count.cards}", style=style)
        )
    if claim.learn:
        print_folded(claim.learn, console, 2)
    console.print()


def _counted(count: measuring.Counted) -> str:
    what = "the ALG comes as" if count.asked.field == "default" else "that it can be switched off is"
    return f"cards of vendors that say {what} '{' or '.join(count.asked.of)}'"
