"""``siplab doctor``: what this machine can do."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from siplab.experiments.commands.options import AsJson, Choice
from siplab.experiments.output import console
from siplab.lab.worlds.emulated import capability

app = typer.Typer(add_completion=False)


@app.command()
def doctor(
    world: Annotated[
        Choice, typer.Option(help="emulated: exit status 1 where that world is missing here.")
    ] = "auto",
    as_json: AsJson = False,
) -> None:
    """What this machine can do, and how to fix what it can't."""
    abilities = (*capability.abilities(), capability.kernel_ability())
    obstacle = capability.obstacle()
    if as_json:
        console.print_json([each._asdict() for each in abilities])
    else:
        output = console.output()
        for each in abilities:
            missing = ("NO", "red") if each.needed else ("no", "yellow")
            mark = Text("yes", "green") if each.present else Text(*missing)
            console.print_exact(
                Text.assemble(mark, f"{'':{4 - len(mark)}}{each.name}  {each.detail}"), output
            )
            if not each.present:
                console.print_exact(f"    -> {each.fix}", output)
        if obstacle is None:
            console.print_folded(
                "The emulated world runs here: real kernel, netfilter queue, real programs.", output
            )
        else:
            output.print("The simulated world runs here; the emulated one does not.")
    if world == "emulated" and obstacle is not None:
        raise typer.Exit(1)
