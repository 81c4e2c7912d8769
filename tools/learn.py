"""``python -m tools.learn``: how well routers are learnt, measured; writes docs/measured/learn.md.

Each model is a router that nobody knows: the lab's endpoints register, call and are called behind it, and a
model is learnt from what its two sides showed.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from siplab.experiments.learning.candidates import Observed, distance
from siplab.experiments.learning.learning import learn
from siplab.experiments.learning.observations import from_trace
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from siplab.lab.worlds.pair import Pair

PAGE: Final = Path(__file__).parent.parent / "docs" / "measured" / "learn.md"
TRAIN: Final = ("register", "outgoing-call", "incoming-call")
HELD_OUT: Final = ("hold", "early-media", "cancel", "message")


class Row(NamedTuple):
    """What came of one router. ``held_out``: conversations of ``HELD_OUT`` that are equal to the byte."""

    truth: str
    control: bool  # a router without a fault was named
    in_tie: bool
    tie: int
    distance: float
    held_out: int
    seconds: float


def pairs(model: str, scenarios: tuple[str, ...], seed: int) -> list[Pair]:
    """What the router showed in each scenario."""
    return [
        pair
        for each in scenarios
        for pair in from_trace(trial.run(TrialSpec("home", model, scenario=each, seed=seed))[1])
    ]


def measured(truth: str, seed: int) -> Row:
    """Learn one router."""
    learnt = learn(pairs(truth, TRAIN, seed), held_out=False)
    parts = set(truth.split("+"))
    equal = 0
    for pair in pairs(truth, HELD_OUT, seed):
        equal += distance(Observed((pair,), learnt.observed.nat), learnt.model, 0) == 0
    return Row(
        truth,
        learnt.found.model.card.kind == "control",
        any(set(each.id.split("+")) == parts for each in learnt.found.tie),
        len(learnt.found.tie),
        learnt.found.distance,
        equal,
        learnt.found.seconds,
    )


def compositions(count: int, seed: int) -> Iterator[str]:
    """Two or three faults of the catalogue in one router each."""
    rng = random.Random(seed)
    known = [each.id for each in trial.models() if each.card.kind == "fault"]
    while count:
        chosen = "+".join(rng.sample(known, rng.choice((2, 3))))
        try:
            trial.models().get(chosen)
        except UsageError:
            continue
        count -= 1
        yield chosen


def main() -> None:
    parser = argparse.ArgumentParser(prog="learn", description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="every so manieth model and variant")
    parser.add_argument("--compositions", type=int, default=60)
    parser.add_argument("--seed", type=int, default=11)
    given = parser.parse_args()
    names = [each.id for each in trial.models().runnable()][:: given.every]
    singles = [measured(each, given.seed) for each in names]
    composed = [measured(each, given.seed) for each in compositions(given.compositions, given.seed)]
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    command = f"python -m tools.learn --every {given.every} --compositions {given.compositions}"
    PAGE.write_text(page(singles, composed, command, given.seed), encoding="utf-8")


def page(singles: list[Row], composed: list[Row], command: str, seed: int) -> str:
    """The document."""
    controls = [each for each in singles if each.truth in ("none", "correct")]
    faults = [each for each in singles if each not in controls]
    shown = [each for each in faults if not each.control]
    seen = [each for each in composed if not each.control]
    conversations = len(HELD_OUT)
    lines = [
        "# How well routers are learnt",
        "",
        f"Written by `{command}`, with seed {seed}. Models of the catalogue stood in as routers",
        f"that nobody knows; each was learnt from {', '.join(TRAIN)}, and laid beside {', '.join(HELD_OUT)},",
        "which it was not learnt from.",
        "",
        "| routers | number | show something | true one named | named alone | held-out conversations equal |"
        " CPU s, median |",
        "|---|---|---|---|---|---|---|",
        _line("single faults, variants, references", faults, shown, conversations),
        _line("two or three faults at once", composed, seen, conversations),
        "",
        f"Routers without a fault that were given one: {sum(not each.control for each in controls)} of "
        f"{len(controls)}.",
        "",
        f"Explained to the byte: {sum(not each.distance for each in faults)} of {len(faults)}, and of those "
        f"with several faults {sum(not each.distance for each in composed)} of {len(composed)}.",
        "",
        "Of routers that show something, those whose faults are not among the models named (what explains as",
        f"much with fewer faults is named instead): {', '.join(_missed(shown + seen)) or 'none'}.",
        "",
    ]
    return "\n".join(lines)


def _line(name: str, rows: list[Row], shown: list[Row], conversations: int) -> str:
    cells = [
        name,
        len(rows),
        len(shown),
        sum(each.in_tie for each in shown),
        sum(each.in_tie and each.tie == 1 for each in shown),
        f"{sum(each.held_out for each in shown)} of {conversations * len(shown)}",
        f"{statistics.median(each.seconds for each in rows):.1f}" if rows else "-",
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def _missed(rows: list[Row]) -> list[str]:
    return [f"`{each.truth}`" for each in rows if not each.in_tie]


if __name__ == "__main__":
    main()
