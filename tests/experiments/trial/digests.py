"""Digests of trials, one line of JSON: ``python -m tests.experiments.trial.digests WORLD [MODEL...]``.

Without models: all of them, with what is played often (``OFTEN``); else with all that can be played.

To be run by other interpreters and other users; the digest of a trial is the same for all of them.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence

from siplab.alg_models import catalogue
from siplab.experiments.trial import registry
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.worlds.emulated.bubble import Bubble
from tests.lab.worlds import inside

OFTEN = ("register", "outgoing-call", "incoming-call", "mirror", "combined")


def models() -> list[str]:
    """Every model and every variant that can be run, as specs."""
    return [model.id for model in catalogue.load().runnable()]


def trials(model: str, topology: str = "home", mitigations: tuple[str, ...] = ()) -> list[TrialSpec]:
    """A model with every scenario and every detector."""
    played = [TrialSpec(topology, model, scenario=item.id) for item in registry.scenarios()]
    played += [TrialSpec(topology, model, detector=item.id) for item in registry.detectors()]
    return [TrialSpec(topology, model, each.scenario, each.detector, mitigations) for each in played]


def digest(run: inside.Run) -> str:
    text = json.dumps(run.result, sort_keys=True) + run.trace
    return hashlib.sha256(text.encode()).hexdigest()


def often(model: str) -> list[TrialSpec]:
    """A model with what is played often."""
    return [spec for spec in trials(model) if spec.played in OFTEN]


def digests(world: str, names: Sequence[str]) -> dict[str, str]:
    specs = [spec for name in names for spec in trials(name)]
    specs = specs or [spec for name in models() for spec in often(name)]
    if world == "simulated":
        return {spec.name: digest(inside.run(spec, emulated=False)) for spec in specs}
    with Bubble("tests.lab.worlds.inside:task") as bubble:
        return {spec.name: digest(bubble.call(inside.run, spec)) for spec in specs}


if __name__ == "__main__":
    print(json.dumps(digests(sys.argv[1], sys.argv[2:])))
