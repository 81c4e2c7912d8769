"""``siplab models``: the ALGs, by class of fault."""

from __future__ import annotations

from typing import Annotated

from siplab.experiments.commands import listing
from siplab.experiments.commands.listing import Identifier, Words
from siplab.experiments.commands.options import AsJson, ModelPath, as_texts, names
from siplab.experiments.output import cards
from siplab.experiments.trial import registry
from siplab.experiments.trial import run as trial
from siplab.lab import specs

app = listing.group()


@app.command("list")
def listed(
    words: Words = [],  # noqa: B006 - typer's way
    class_: Annotated[
        list[str],
        names("--class", help="Only those of this class: rewriting, parsing, state, ...; repeatable."),
    ] = [],  # noqa: B006
    breaks: Annotated[
        list[str],
        names(metavar="SCENARIO", help="Only those that break this scenario; repeatable: all of them."),
    ] = [],  # noqa: B006
    as_json: AsJson = False,
    model_path: ModelPath = [],  # noqa: B006
) -> None:
    """List them; this is what is done where no command is named."""
    paths = as_texts(model_path)
    rows = cards.models(paths)
    known = list(dict.fromkeys(map(cards.class_of, rows)))
    for each in class_:
        if each not in known:
            raise specs.unknown("class", each, known)
    broken = {registry.scenarios().get(each).id for each in breaks}
    catalogue = trial.models(paths)
    chosen = [
        row
        for row in rows
        if (not class_ or cards.class_of(row) in class_)
        and broken <= set(cards.broken_by(catalogue.get(row["id"]).card.breaks))
    ]
    listing.print_list(chosen, words, "models", as_json=as_json)


@app.command("show")
def shown(identifier: Identifier, as_json: AsJson = False, model_path: ModelPath = []) -> None:  # noqa: B006
    """Everything about one of them."""
    listing.print_card(cards.model(identifier, as_texts(model_path)), as_json=as_json)
