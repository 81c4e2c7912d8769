"""`siplab learn`: from captures of a router's two sides to a model that does what it does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from siplab.experiments.captures.comparison import compare
from siplab.experiments.commands.options import AsJson
from siplab.experiments.diagnosis.sentences import sentences
from siplab.experiments.learning import cards, writing
from siplab.experiments.learning import files as learning_files
from siplab.experiments.learning.learning import Learnt, learn
from siplab.experiments.learning.next_probe import next_probe
from siplab.experiments.output import console, files
from siplab.lab.worlds.pair import Pair

app = typer.Typer(add_completion=False)
_SHOWN = 12


@app.command("learn")
def learn_command(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="IN OUT...",
            help="Captures of both sides, or pair files of the probe pack; more of them: more conversations.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE.py", help="Write the model, for --model-path.")
    ] = None,
    card: Annotated[
        Path | None, typer.Option(metavar="FILE.yaml", help="Write a draft of a vendor's card.")
    ] = None,
    name: Annotated[str, typer.Option(help="Maker and model of the router, for the card.")] = "Router",
    firmware: Annotated[str, typer.Option(help="Its firmware, for the card.")] = "",
    depth: Annotated[int, typer.Option(min=1, max=4, help="Faults in one router, at most.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Learn a model of a router from captures of both its sides.

    Or from pair files of the probe pack. First its NAT, then the models of the catalogue and compositions of
    their faults, with parameters from what it wrote; then rules for what the catalogue has no step for. What
    explains equally much is named together. Captures need `pip install 'siplab[captures]'`. Exit status: 0 it
    came to its end, 2 bad input.
    """
    for each in filter(None, (out, card)):
        files.check_writable(each)
    pairs, left_out = learning_files.read(paths)
    learnt = learn(pairs, depth=depth)
    if out is not None:
        files.write_text(out, writing.as_module(learnt, out.stem))
    if card is not None:
        subject = cards.Subject(name, firmware, date.today(), tuple(paths))
        files.write_text(card, cards.draft(learnt, subject, _claims(pairs, paths[0])))
    if as_json:
        console.print_json(writing.as_data(learnt))
    else:
        output = console.output()
        told(learnt, output)
        _say_files(left_out, out, output)


def _claims(pairs: Sequence[Pair], path: Path) -> list[str]:
    return [line for each in pairs for line in sentences(compare(*learning_files.as_captures(each, path)))]


def told(learnt: Learnt, output: Console) -> None:
    """Print what was learnt."""
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
    if found.distance and found.ended:
        said = f"the search ended at its budget, {found.packets} packets through candidates"
        console.print_folded(f"{said}: a nearer model may have been missed", output, 2, hanging=2)
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
    probe = next_probe(found.tie) if not found.distance and len(found.tie) > 1 else None
    if probe is not None:
        console.print_folded(
            f"what tells them apart: '{probe}' of the probe pack (siplab detect run --probe-pack, or "
            "siplab bench-router)",
            output,
            2,
            hanging=2,
        )


def _say_files(left_out: list[str], out: Path | None, output: Console) -> None:
    for line in left_out:
        console.print_folded(line, output, style="dim")
    if out is not None:
        name = writing.model_id(out.stem)
        console.print_folded(
            f"siplab call --model {name} --model-path {out} --scenario outgoing-call", output
        )
