"""``python -m tools.causes``: do failed checks pass if the actions that `explain` names are undone?

Prints figures over every trial of the matrix in which a check fails, with both pairs of endpoints, and over
the failures that the models' cards show. ``--write`` puts them into docs/measured/causes.md; ``--cards``
takes the cards' failures only. It takes some minutes.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from siplab.experiments.explain.proof import Proof, prove
from siplab.experiments.trial import registry
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.counterfactual.actions import GatewayAction
from siplab.experiments.trial.counterfactual.replay import Replayer
from siplab.experiments.trial.pairs import DEFAULT, STRICT, Pair
from siplab.experiments.trial.spec import TrialSpec

PAGE: Final = Path(__file__).parents[1] / "docs" / "measured" / "causes.md"
PAIRS: Final = {str(pair): pair for pair in (DEFAULT, STRICT)}
CARDS: Final = "the cards"


@dataclass(frozen=True)
class Row:
    """The result for the first failed check of a trial.

    ``proven``: actions were found; if they are undone, the check passes. ``holds``: another run confirms
    that. ``is_same_again``: a second proof finds the same actions. ``classes``: the number of classes of
    actions. ``runs``: the number of trials run again.
    """

    spec: TrialSpec
    check: str
    proven: bool
    holds: bool
    is_same_again: bool
    classes: int
    runs: int


def matrix(pair: Pair) -> Iterator[TrialSpec]:
    """Every model and variant in every scenario, between these endpoints."""
    for model in trial.models().runnable():
        for item in registry.scenarios():
            yield TrialSpec("home", model.id, item.id).between(pair)


def shown() -> Iterator[TrialSpec]:
    """The failures that the models' cards show."""
    for model in trial.models():
        for each in model.card.shows:
            spec = model.with_parameters(each.variant).id
            yield TrialSpec(each.topology, spec, each.scenario, phone=each.phone, server=each.server)


def row(spec: TrialSpec, *, twice: bool = True) -> Row | None:
    """The trial's row; ``None`` if no check fails or the trial is invalid. ``twice``: prove it twice."""
    result, _ = trial.run(spec)
    first = result.first_failure
    if first is None or result.errors:
        return None
    proof = prove(spec, [first])[first.name]
    again = prove(spec, [first])[first.name] if twice else proof
    cure, other = proof.cure, again.cure
    return Row(
        spec,
        first.name,
        cure is not None,
        _holds(proof, spec, first.name),
        (cure and (cure.actions, cure.also)) == (other and (other.actions, other.also)),
        len(cure.classes) if cure is not None else 0,
        proof.runs,
    )


def _holds(proof: Proof, spec: TrialSpec, check: str) -> bool:
    """Whether a proof is right: the check passes with these actions undone, and not with fewer."""
    cure = proof.cure
    if cure is None:
        return True

    def passes(actions: Sequence[GatewayAction]) -> bool:
        return Replayer(spec).run([check], actions, (), cure.reference).passes(check)

    fewer = [[each for each in cure.actions if each is not left] for left in cure.actions]
    return (
        passes(cure.actions)
        and not any(passes(each) for each in fewer)
        and (not cure.also or passes(cure.also))
    )


def rows(specs: Sequence[TrialSpec], jobs: int) -> list[Row]:
    """The rows of all trials in which a check fails."""
    with ProcessPoolExecutor(jobs) as pool:
        return [each for each in pool.map(row, specs, chunksize=8) if each is not None]


@dataclass(frozen=True)
class Figures:
    """Figures over rows; shares are from 0 to 1."""

    checks: int
    proven: float
    holds: float
    same_again: float
    one_class: float
    runs: float  # median
    most_runs: int


def figures(found: Sequence[Row]) -> Figures:
    """The figures over rows of which at least one is proven.

    A router without an ALG or special settings has nothing to undo.
    """
    one_class = [each.classes == 1 for each in found if each.proven]
    return Figures(
        len(found),
        statistics.mean(each.proven for each in found),
        statistics.mean(each.holds for each in found),
        statistics.mean(each.is_same_again for each in found),
        statistics.mean(one_class),
        statistics.median(each.runs for each in found),
        max(each.runs for each in found),
    )


_HEAD: Final = """\
# Causes by running the trial again

Of every trial in which a check fails, the first one: the matrix on the network `home`, and what the models'
cards show. Made by `python -m tools.causes --write`; `make test-deep` holds the figures.

| endpoints | failed checks | a set that makes it pass | holds when run once more | the same set again | \
one class of actions | trials run again (median, most) |
|---|---|---|---|---|---|---|
"""


def line(name: str, sums: Figures) -> str:
    """A row of the page's table."""
    shares = (sums.proven, sums.holds, sums.same_again, sums.one_class)
    cells = [name, str(sums.checks), *(f"{100 * each:.1f} %" for each in shares)]
    return f"| {' | '.join(cells)} | {sums.runs:g}, {sums.most_runs} |\n"


def main() -> int:
    """Print the page, or write it."""
    kinds = {CARDS: list(shown())}
    if "--cards" not in sys.argv[1:]:
        kinds = {name: list(matrix(pair)) for name, pair in PAIRS.items()} | kinds
    text = _HEAD
    for name, specs in kinds.items():
        found = rows(specs, os.cpu_count() or 1)
        text += line(name, figures(found))
        for each in found:
            if not (each.proven and each.holds and each.is_same_again):
                print(each, file=sys.stderr)
    if "--write" in sys.argv[1:]:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(text, encoding="utf-8")
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
