"""``siplab doctor``: what this machine can do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.text import Text

from siplab.experiments.commands.options import AsJson, Choice
from siplab.experiments.output import console
from siplab.experiments.programs import kinds
from siplab.lab.worlds.emulated import capability
from siplab.lab.worlds.emulated.capability import Ability

app = typer.Typer(add_completion=False)


@app.command()
def doctor(
    world: Annotated[
        Choice, typer.Option(help="emulated: exit status 1 where that world is missing here.")
    ] = "auto",
    as_json: AsJson = False,
) -> None:
    """What this machine can do, and how to fix what it can't."""
    abilities = (*capability.abilities(), capability.kernel_ability(), *_real_programs())
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


def _real_programs() -> Iterator[Ability]:
    """The programs that can play phones and servers, each with the version that is here."""
    listed = {name for name, *_ in capability.abilities()}
    for kind in kinds.shipped().values():
        for need in kind.needs:
            if need.program in listed:
                continue
            listed.add(need.program)
            version = kinds.version_of(need)
            detail = f"version {version}" if version else ""
            option = "with" if kind.role == "relay" else kind.role
            what = f"{need.program} for --{option} program:{kind.id}"
            yield Ability(what, version is not None, False, detail, f"apt-get install {need.package}")
