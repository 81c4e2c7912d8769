"""Digests of trials, one line of JSON: ``python -m tests.experiments.trial.digests WORLD 'MODEL NAME'...``.

``MODEL NAME``: a trial of a model, on the network ``home``, with the scenario or detector of that name. To be
run by other interpreters and other users: the digest of a trial is the same for all of them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence

from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.worlds.emulated.bubble import Bubble
from tests import grid
from tests.lab.worlds import inside

# What is played often. That all the rest is the same too, the other world shows.
OFTEN = ("register", "outgoing-call", "incoming-call", "mirror", "combined")


def often(model: str) -> list[TrialSpec]:
    """A model with what is played often."""
    return [spec for spec in grid.specs(model) if spec.played in OFTEN]


def arguments(specs: Iterable[TrialSpec]) -> list[str]:
    """What the command line has to name for these trials to be played."""
    return [f"{spec.model} {spec.played}" for spec in specs]


def digests(world: str, arguments: Sequence[str]) -> dict[str, str]:
    """By the name of each trial."""
    wanted = [each.rpartition(" ")[::2] for each in arguments]
    specs = [spec for model, played in wanted for spec in grid.specs(model) if spec.played == played]
    if world == "simulated":
        return {spec.name: inside.digest(spec, emulated=False) for spec in specs}
    with Bubble("tests.lab.worlds.inside:task") as bubble:
        return {spec.name: bubble.call(inside.digest, spec) for spec in specs}


if __name__ == "__main__":
    print(json.dumps(digests(sys.argv[1], sys.argv[2:])))
