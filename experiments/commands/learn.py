"""`siplab learn`: from captures of a router's two sides to a model that does what it does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from siplab.experiments import captures
from siplab.experiments.commands.options import AsJson
from siplab.experiments.learning import writing
from siplab.experiments.learning.learning import Learnt, learn
from siplab.experiments.learning.observations import from_captures
from siplab.experiments.output import console, files
from siplab.lab.errors import UsageError

app = typer.Typer(add_completion=False)
_SHOWN = 12


@app.command("learn")
def learn_command(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="IN OUT...", help="Captures of both sides; more pairs: more conversations."),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE.py", help="Write the model, for --model-path.")
    ] = None,
    depth: Annotated[int, typer.Option(min=1, max=4, help="Faults in one router, at most.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Learn a model of a router from captures of both its sides.

    First its NAT, then the models of the catalogue and compositions of their faults, with parameters from
    what it wrote; then rules for what the catalogue has no step for. What explains equally much is named
    together. Needs `pip install 'siplab[captures]'`. Exit status: 0 it came to its end, 2 bad input.
    """
    if len(paths) % 2:
        raise UsageError("captures come in pairs: IN OUT, one from each side of the router")
    if out is not None:
        files.check_writable(out)
    read = [captures.read(each) for each in paths]
    seen = [from_captures(*pair) for pair in zip(read[::2], read[1::2], strict=True)]
    places = {place for place, _ in seen}
    if len({place.public_ip for place in places}) > 1:
        raise UsageError("the captures are of routers with different public addresses: learn one at a time")
    learnt = learn(seen[0][0], [session for _, session in seen], depth=depth)
    if out is not None:
        files.write_text(out, writing.as_module(learnt, out.stem))
    if as_json:
        console.print_json(writing.as_data(learnt))
    else:
        _print(learnt, [line for each in read for line in each.lines()], out)


def _print(learnt: Learnt, left_out: list[str], out: Path | None) -> None:
    output = console.output()
    found = learnt.found
    names = ", ".join(each.id for each in found.tie[:_SHOWN])
    more = f" and {len(found.tie) - _SHOWN} more" if len(found.tie) > _SHOWN else ""
    if found.distance:
        output.print(Text("No model of the catalogue does all that this router did", style="yellow"))
        said = f"nearest: {names}{more}, at {found.distance:g} differences"
    elif found.model.card.kind == "control":
        output.print(Text("A router without a fault, as far as these conversations show", style="green"))
        said = f"it does as the model '{found.model.id}'"
    else:
        output.print(Text("Known behaviour", style="red"))
        said = f"it does as {names}{more}"
        if len(found.tie) > 1:
            said += f": {len(found.tie)} models that these conversations can't tell apart"
    console.print_folded(said, output, 2, hanging=2)
    agreed = learnt.agreement
    if learnt.rules is not None:
        console.print_folded("with rules besides, read off what it did", output, 2)
    console.print_folded(
        f"{agreed.equal} of {agreed.total} messages come out as they were seen", output, 2, hanging=2
    )
    for what, count in agreed.otherwise.most_common(_SHOWN):
        console.print_folded(f"not explained: {what} ({count}x)", output, 4, hanging=2)
    if learnt.held_out is not None:
        console.print_folded(
            f"learnt from the first half of the conversations, {learnt.held_out.equal} of "
            f"{learnt.held_out.total} messages of the others come out as they were seen",
            output,
            2,
            hanging=2,
        )
    if found.unshown:
        console.print_folded(
            f"{len(found.unshown)} faults would show nothing in these conversations: "
            f"{', '.join(found.unshown[:_SHOWN])}{' ...' if len(found.unshown) > _SHOWN else ''}",
            output,
            2,
            hanging=2,
        )
    for line in left_out:
        console.print_folded(line, output, style="dim")
    if out is not None:
        name = writing.model_id(out.stem)
        console.print_folded(
            f"siplab call --model {name} --model-path {out} --scenario outgoing-call", output
        )
