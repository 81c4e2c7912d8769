"""Same trial, same bytes: again, in another interpreter, as another user, and in the other world.

Over every model that can be run and every scenario and detector that is registered, whatever is added later.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from siplab import topologies
from siplab.experiments.trial import registry
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from siplab.lab.worlds.emulated.bubble import Bubble
from tests.conftest import ROOT, OrdinaryUser
from tests.experiments.trial.digests import digests, models, often, trials
from tests.lab.worlds import inside
from tests.lab.worlds.inside import Run

TIMES = 20
SOME_MODELS = ("none", "correct", "blind-ip-replace", "semicolon-loss")
_MITIGATIONS = [item.id for item in registry.mitigations()]
# Where a mitigation can be had, if not on every network.
_NETWORKS = {"ipv6": "dual-stack", "bridge-mode": "alg-behind-alg"}


def difference(one: Run, other: Run) -> str:
    """The first place at which two runs of a trial are not the same; empty when there is none."""
    if one.result != other.result:
        return f"results {one.result} and {other.result}"
    for number, (mine, theirs) in enumerate(zip(one.sip, other.sip, strict=False)):
        if mine != theirs:
            return f"SIP at tap {mine[1]}, number {number}: {mine} and {theirs}"
    if len(one.sip) != len(other.sip):
        return f"{len(one.sip)} and {len(other.sip)} SIP messages at the taps"
    if one.trace != other.trace:
        rows = zip(one.trace.splitlines(), other.trace.splitlines(), strict=False)
        return next(
            (f"{mine} and {theirs}" for mine, theirs in rows if mine != theirs), "one trace is longer"
        )
    return ""


def simulated(spec: TrialSpec) -> Run:
    return inside.run(spec, emulated=False)


def emulated(spec: TrialSpec, bubble: Bubble) -> Run:
    run: Run = bubble.call(inside.run, spec)
    return run


# -- again -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", models())
def test_simulated_again_and_again(model: str) -> None:
    """What is played often; that all the rest is the same too, the other world shows below."""
    for spec in often(model):
        first = simulated(spec)
        assert first.result["outcome"] != "error", first.result["errors"]
        assert first.trace
        for _ in range(TIMES - 1 if spec.scenario else 2):
            assert difference(first, simulated(spec)) == ""


@pytest.mark.needs("emulated")
@pytest.mark.parametrize(
    "spec",
    [
        TrialSpec("home", "none", "outgoing-call"),
        TrialSpec("home", "correct", "incoming-call"),
        TrialSpec("home", "blind-ip-replace", detector="mirror"),
    ],
    ids=lambda spec: spec.name,
)
def test_emulated_again_and_again(spec: TrialSpec, bubble: Bubble) -> None:
    first = emulated(spec, bubble)
    for _ in range(TIMES - 1):
        assert difference(first, emulated(spec, bubble)) == ""


def test_another_seed_gives_other_bytes() -> None:
    """Else the other tests here would not say much."""
    one, other = (simulated(TrialSpec("home", "none", "register", seed=seed)) for seed in (1, 2))
    assert one.trace != other.trace


# -- in the other world ----------------------------------------------------------------------------


@pytest.mark.needs("emulated")
@pytest.mark.parametrize("model", models())
def test_the_worlds_see_the_same(model: str, bubble: Bubble) -> None:
    for spec in trials(model):
        assert difference(simulated(spec), emulated(spec, bubble)) == ""


@pytest.mark.needs("emulated")
@pytest.mark.parametrize("mitigation", _MITIGATIONS)
def test_the_worlds_see_the_same_with_a_mitigation(mitigation: str, bubble: Bubble) -> None:
    for model in SOME_MODELS:
        for spec in trials(model, _NETWORKS.get(mitigation, "home"), mitigations=(mitigation,)):
            assert difference(simulated(spec), emulated(spec, bubble)) == ""


@pytest.mark.needs("emulated")
@pytest.mark.parametrize("topology", topologies.available())
def test_the_worlds_see_the_same_on_every_network(topology: str, bubble: Bubble) -> None:
    segments = topologies.load(topology).networks
    for model in ("none", "correct"):
        for spec in trials(model, topology):
            if spec.scenario == "long-call" and any(each.is_impaired for each in segments.values()):
                # Each packet has a fate of its own there, and an hour has many.
                spec = replace(spec, scenario="long-call(duration=20)")
            try:
                in_memory = simulated(spec)
            except UsageError:
                continue  # the network has not everybody whom the scenario needs
            assert difference(in_memory, emulated(spec, bubble)) == ""


# -- in another interpreter --------------------------------------------------------------------------


def _in_another_interpreter(hash_seed: str, world: str, *names: str) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.experiments.trial.digests", world, *names],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    answer: dict[str, str] = json.loads(done.stdout)
    return answer


def test_hash_seeds_make_no_difference() -> None:
    """Sets and dictionaries of strings have other orders there."""
    one, other = (_in_another_interpreter(seed, "simulated") for seed in ("1", "4242"))
    assert one == other
    assert len(one) == sum(len(often(model)) for model in models())
    one, other = (_in_another_interpreter(seed, "simulated", *SOME_MODELS) for seed in ("1", "4242"))
    assert one == other


@pytest.mark.needs("emulated")
def test_hash_seeds_make_no_difference_in_the_emulated_world() -> None:
    expected = digests("simulated", SOME_MODELS)
    for seed in ("1", "4242"):
        assert _in_another_interpreter(seed, "emulated", *SOME_MODELS) == expected


# -- as another user -------------------------------------------------------------------------------


@pytest.mark.needs("emulated")
def test_an_ordinary_user_sees_the_same(ordinary_user: OrdinaryUser) -> None:
    done = ordinary_user.run(["-m", "tests.experiments.trial.digests", "emulated", *SOME_MODELS])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == digests("simulated", SOME_MODELS)
