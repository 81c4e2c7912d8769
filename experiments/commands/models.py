"""``siplab models``: the ALGs, by class of fault."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from siplab.experiments.commands import listing, running
from siplab.experiments.commands.listing import Identifier, Words
from siplab.experiments.commands.options import AsJson, ModelPath, Seed, TrialTimeout, as_texts, names
from siplab.experiments.output import cards
from siplab.experiments.trial import registry
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from siplab.experiments.trial.watchdog import TRIAL_TIMEOUT
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


@app.command("check")
def checked(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .py file, or a folder, with models of yours.")
    ],
    scenario: Annotated[list[str], names(help="Only with this scenario; repeatable. Default: all.")] = [],  # noqa: B006
    seed: Seed = None,
    trial_timeout: TrialTimeout = TRIAL_TIMEOUT,
) -> None:
    """See whether models of yours are deterministic: each trial is run in two processes.

    Exit status: 0 all trials are the same in both, 1 some are not or are invalid, 2 bad input.
    """
    paths = (str(file),)
    known = trial.models(paths)
    chosen = [
        each.id
        for each in known.runnable()
        if known.origin(each.id) and Path(known.origin(each.id)) in _files(file)
    ]
    played = [registry.scenarios().get(each).id for each in scenario] or [
        each.id for each in registry.scenarios()
    ]
    specs = [
        TrialSpec("home", model, each, seed=1 if seed is None else seed, model_paths=paths)
        for model in chosen
        for each in played
    ]
    running.check_determinism(specs, trial_timeout)


def _files(path: Path) -> list[Path]:
    return list(path.glob("*.py")) if path.is_dir() else [path]
