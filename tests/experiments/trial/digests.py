"""Digests of trials, one line of JSON: ``python -m tests.experiments.trial.digests WORLD SPEC...``.

``SPEC``: the fields of a trial's spec that are not their defaults, as JSON. To be run by other interpreters
and other users: the digest of a trial is the same for all of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import fields

from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.worlds.emulated.bubble import Bubble
from tests import grid
from tests.conftest import ROOT
from tests.lab.worlds import inside

# What is played often. That all the rest is the same too, the other world shows.
OFTEN = ("register", "outgoing-call", "incoming-call", "mirror", "combined")


def often(model: str) -> list[TrialSpec]:
    """A model with what is played often."""
    return [spec for spec in grid.specs(model) if spec.played in OFTEN]


def arguments(specs: Iterable[TrialSpec]) -> list[str]:
    """What the command line has to name for these trials to be played."""
    return [
        json.dumps(
            {each.name: value for each in fields(spec) if (value := getattr(spec, each.name)) != each.default}
        )
        for spec in specs
    ]


def digests(world: str, arguments: Sequence[str]) -> dict[str, str]:
    """By the name of each trial."""
    specs = [TrialSpec(**json.loads(each)) for each in arguments]
    if world == "simulated":
        return {spec.name: inside.digest(spec, emulated=False) for spec in specs}
    with Bubble("tests.lab.worlds.inside:task") as bubble:
        return {spec.name: bubble.call(inside.digest, spec) for spec in specs}


def in_another_interpreter(hash_seed: str, world: str, specs: Iterable[TrialSpec]) -> dict[str, str]:
    """Their digests from an interpreter whose sets and dictionaries of strings have another order."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.experiments.trial.digests", world, *arguments(specs)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=3600,
        check=True,
    )
    answer: dict[str, str] = json.loads(done.stdout)
    return answer


if __name__ == "__main__":
    print(json.dumps(digests(sys.argv[1], sys.argv[2:])))
