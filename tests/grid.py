"""Trials that several tests need: each is run only once in a run of the tests.

``played(spec)`` keeps the result of a trial in a folder that all workers share. Most trials belong to
the grid: every model and variant, on the network ``home``, with every scenario and every detector.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import pickle
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from siplab.alg_models import catalogue
from siplab.experiments.explain import explain
from siplab.experiments.output.journeys import journeys_of
from siplab.experiments.trial import registry
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.result import Explanation, TrialResult
from siplab.experiments.trial.sharing import Sharing, setting_of
from siplab.experiments.trial.spec import TrialSpec, seed_of
from siplab.lab.wire import ip
from siplab.lab.worlds.trace import Trace

_folder: Path | None = None


def share(folder: Path) -> None:
    """Keep the results of trials in ``folder`` from now on."""
    global _folder
    folder.mkdir(parents=True, exist_ok=True)
    _folder = folder


# -- which trials there are ----------------------------------------------------------------------------


def models() -> list[str]:
    """Every model and every variant that can be run, as specs."""
    return [model.id for model in catalogue.load().runnable()]


def specs(model: str, topology: str = "home", mitigations: tuple[str, ...] = ()) -> list[TrialSpec]:
    """A model with every scenario and every detector."""
    played = [TrialSpec(topology, model, scenario=item.id) for item in registry.scenarios()]
    played += [TrialSpec(topology, model, detector=item.id) for item in registry.detectors()]
    return [replace(each, mitigations=mitigations) for each in played]


# So many scenarios and detectors per model are played by the tests that always run. Over all models, each
# scenario and detector is then played about fifty times.
SHARE: Final = 15


def part(of: Sequence[str], share: int) -> list[Any]:
    """Test parameters: every ``share``-th always runs, and all of them with ``make test-deep``."""
    return [
        each if at % share == 0 else pytest.param(each, marks=pytest.mark.deep) for at, each in enumerate(of)
    ]


def some(among: Sequence[TrialSpec], count: int | None) -> list[TrialSpec]:
    """A sample of ``count`` trials (``None``: all) that depends on the model, network and mitigation.

    The sample is the same each time, and a smaller one is part of a larger one.
    """
    first = among[0]
    seed = f"{first.topology} {first.model} {first.mitigations}"
    shuffled = list(among)
    random.Random(seed).shuffle(shuffled)
    return shuffled[:count]


# -- their results -------------------------------------------------------------------------------------


class Crossing(NamedTuple):
    """What the router of the network ``home`` did to one message that was sent."""

    now: float
    label: str
    met_router: bool
    changed: bool  # by the router
    lost: bool


class Played(NamedTuple):
    """A trial that was played in the simulated world."""

    result: TrialResult
    digest: str  # of its result and its whole trace
    explanation: list[Explanation]  # of each failed check, from the trace alone
    crossings: list[Crossing]  # where a check failed
    has_tcp: bool


def digest(result: TrialResult, trace: Trace) -> str:
    """A digest that is the same for the same result and trace, in either world."""
    row = result.as_json()
    row.pop("world")
    return hashed(row, trace.to_json_lines())


def hashed(row: dict[str, Any], lines: str) -> str:
    """The digest of a result as data, without its world, and of the lines of a trace."""
    return _hash(json.dumps(row, sort_keys=True) + _hash(lines))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def played(spec: TrialSpec) -> Played:
    """Everything kept about a trial. Raises ``UsageError`` if it can't be played."""
    if _folder is None:
        return _play(spec)
    path = _folder / hashlib.sha256(repr(spec).encode()).hexdigest()
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # another worker may be playing it just now
        file.seek(0)
        data = file.read()
        if data:
            found: Played = pickle.loads(data)
            return found
        made = _play(spec)
        file.write(pickle.dumps(made))
    return made


def outcome(spec: TrialSpec) -> TrialResult:
    """The result of a trial that no other test needs: run here, not stored and not explained."""
    return _unexplained.run(spec)[0]


def result(spec: TrialSpec) -> TrialResult:
    """The result of a trial. Raises ``UsageError`` if it can't be played."""
    return played(spec).result


class _Seen(NamedTuple):
    """What is derived from a trace. It costs more than most shared trials."""

    lines: str  # the hash of the trace's lines
    explanation: list[Explanation]
    crossings: list[Crossing]
    has_tcp: bool


_sharing, _unexplained = Sharing(), Sharing()
_seen: Final[dict[tuple[TrialSpec, str], _Seen]] = {}


def _play(spec: TrialSpec) -> Played:
    outcome, trace = _sharing.run(spec)
    key = setting_of(spec), outcome.course
    if trace is not None:  # the trial was run, not shared
        _seen[key] = _see(outcome, trace)
    seen = _seen[key]
    row = outcome.as_json()
    row.pop("world")
    digest = _hash(json.dumps(row, sort_keys=True) + seen.lines)
    return Played(outcome, digest, seen.explanation, seen.crossings, has_tcp=seen.has_tcp)


def _see(outcome: TrialResult, trace: Trace) -> _Seen:
    spec, lines = outcome.spec, _hash(trace.to_json_lines())
    if outcome.outcome != "fail" or spec.topology != "home":
        return _Seen(lines, [], [], has_tcp=False)
    journeys = [each for each in journeys_of(trace, trial.network("home")) if each.sent is not None]
    return _Seen(
        lines,
        explain(outcome.checks, trace, trial.network("home"), seed_of(spec)),
        [
            Crossing(
                round(each.now, 6),
                each.label,
                "router" in each.path[1:],
                "router" in each.changes,
                bool(each.failed) or not each.received,
            )
            for each in journeys
        ],
        has_tcp=any(each.sent is not None and each.sent.protocol == ip.TCP for each in journeys),
    )
