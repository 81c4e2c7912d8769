"""``siplab advise``: what to do about a router, found by running the remedies."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

from siplab.experiments.advice import advising
from siplab.experiments.advice.advising import Advice
from siplab.experiments.commands.options import AsJson, Jobs
from siplab.experiments.output import commands
from siplab.experiments.output.console import grid, output, print_exact, print_folded, print_json
from siplab.experiments.trial.spec import TrialSpec

_SHOWN: Final = 4  # scenarios in a cell of the table

app = typer.Typer(add_completion=False)


@app.command()
def advise(
    model: Annotated[
        str, typer.Option("--model", "-m", "--vendor", help="The router's ALG: a model, or a vendor.")
    ],
    topology: Annotated[str, typer.Option(help="The network.")] = "home",
    phone: Annotated[str, typer.Option(help="The kind of phone.")] = "",
    server: Annotated[str, typer.Option(help="The kind of server.")] = "",
    symptom: Annotated[
        list[str] | None,
        typer.Option(help="Only what fails in a scenario, or with a symptom, that has this word."),
    ] = None,
    jobs: Jobs = 1,
    as_json: AsJson = False,
) -> None:
    """What to do about a router: the remedies that help, by who has to act."""
    spec = TrialSpec(topology, model, phone=phone, server=server)
    found = advising.advise(spec, symptom or (), partial(advising.simulated, jobs=jobs))
    if as_json:
        print_json(_data(found))
    else:
        _tell(found, output())


def _data(found: Advice) -> dict[str, Any]:
    return {
        "model": found.spec.model,
        "topology": found.spec.topology,
        "wanted": list(found.wanted),
        "broken": found.broken,
        "refused": found.refused,
        "offers": [
            {
                "group": group,
                "remedies": list(each.remedies),
                "cures": list(each.cures),
                "leaves": [name for name in found.broken if name not in each.cures],
                "breaks": list(each.breaks),
            }
            for group, each in found.offers.items()
        ],
    }


def _tell(found: Advice, console: Console) -> None:
    wanted, broken = len(found.wanted), len(found.broken)
    if not broken:
        print_folded(
            f"Nothing is to be done: all {wanted} scenarios work that work without a fault.", console
        )
        return
    print_folded(
        f"{broken} of the {wanted} scenarios that work without a fault fail behind this router:", console
    )
    print_folded(", ".join(f"{name} ({check})" for name, check in found.broken.items()), console, 2)
    console.print()
    for reason in found.refused.values():
        print_folded(f"{reason[0].upper()}{reason[1:]}.", console)
    if not found.offers:
        print_folded("No remedy that the lab knows brings any of them back.", console)
        return
    rows = [
        (
            group,
            "\n".join(each.remedies),
            f"{len(each.cures)} of {broken}",
            _few([name for name in found.broken if name not in each.cures]),
            _few(each.breaks),
        )
        for group, each in found.offers.items()
    ]
    console.print(grid(("who acts", "remedies", "cures", "does not cure", "breaks"), rows, console.width))
    console.print()
    for each in found.offers.values():
        example = TrialSpec(
            found.spec.topology,
            found.spec.model,
            each.cures[0],
            mitigations=each.remedies,
            phone=found.spec.phone,
            server=found.spec.server,
        )
        print_exact(f"  {commands.call(example)}", console, "dim")
    console.print(Text("siplab mitigations show ID says what one is.", style="dim"))


def _few(names: Sequence[str]) -> str:
    more = [f"and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return "\n".join([*names[:_SHOWN], *more]) or "–"
