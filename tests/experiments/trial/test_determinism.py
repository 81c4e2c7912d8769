"""Same trial, same bytes: again, in another interpreter, as another user, and in the other world.

Over every model that can be run and every scenario and detector that is registered, whatever is added later.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice

import pytest

from siplab import topologies
from siplab.experiments.trial import registry
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from siplab.lab.worlds.base import make_gateways
from siplab.lab.worlds.emulated.bubble import Bubble
from tests import grid
from tests.conftest import OrdinaryUser
from tests.experiments.trial.digests import OFTEN, arguments, in_another_interpreter, often
from tests.lab.worlds import inside
from tests.lab.worlds.inside import Run

SOME_MODELS = ("none", "correct", "blind-ip-replace", "semicolon-loss")
# Of the trials of a model, so many are played in both worlds by default: of all models together each
# scenario and each detector about twenty times.
SHARE = 7
# Bytes with TLS differ from run to run: tests/experiments/mitigations/test_tls.py compares outcomes.
_MITIGATIONS = [item.id for item in registry.mitigations() if item.id != "tls"]
# Where a mitigation can be had, if not on every network.
_NETWORKS = {"ipv6": "dual-stack", "bridge-mode": "alg-behind-alg", "firewall-open": "firewall-no-media"}


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


def _again_and_again(spec: TrialSpec, times: int) -> None:
    first = grid.played(spec)
    assert first.result.outcome != "error", first.result.errors
    again = [simulated(spec) for _ in range(times - 1)]
    assert again[0].trace
    for other in again[1:]:
        assert difference(again[0], other) == ""
    # Another process may have played the first.
    assert grid.hashed(again[0].result, again[0].trace) == first.digest


@pytest.mark.parametrize("model", grid.part(grid.models(), 3))
def test_simulated_again_and_again(model: str) -> None:
    """What is played often; that all the rest is the same too, the other world shows below."""
    for spec in grid.some(often(model), 2):
        _again_and_again(spec, 3)


@pytest.mark.deep
@pytest.mark.parametrize("model", grid.models())
def test_simulated_twenty_times(model: str) -> None:
    for spec in often(model):
        _again_and_again(spec, 20 if spec.scenario else 3)


@pytest.mark.needs("emulated")
@pytest.mark.parametrize("times", [3, pytest.param(20, marks=pytest.mark.deep)])
@pytest.mark.parametrize(
    "spec",
    [
        TrialSpec("home", "none", "outgoing-call"),
        TrialSpec("home", "correct", "incoming-call"),
        TrialSpec("home", "blind-ip-replace", detector="mirror"),
    ],
    ids=lambda spec: spec.name,
)
def test_emulated_again_and_again(spec: TrialSpec, times: int, bubble: Bubble) -> None:
    first = emulated(spec, bubble)
    for _ in range(times - 1):
        assert difference(first, emulated(spec, bubble)) == ""


def test_another_seed_gives_other_bytes() -> None:
    """Else the other tests here would not say much."""
    one, other = (simulated(TrialSpec("home", "none", "register", seed=seed)) for seed in (1, 2))
    assert one.trace != other.trace


@pytest.mark.parametrize(
    ("topology", "one", "other", "played"),
    [
        ("home", "none", "keepalive-crlf-swallowed", "register"),
        ("home(loss=0.1)", "none", "tcp-ignored", "tcp-call"),
        ("home", "correct", "tcp-split-unprocessed", "outgoing-call"),
        ("nat-random-ports", "correct", "pinhole-left-open", "register"),
        ("nat-random-ports", "correct", "sdp-c-only(probability=0)", "outgoing-call"),
    ],
)
def test_models_that_do_nothing_else_give_the_same_trace(
    topology: str, one: str, other: str, played: str
) -> None:
    """The call is the same one whatever the model is, and so is what the NAT draws."""
    first, second = (simulated(TrialSpec(topology, model, played)) for model in (one, other))
    assert first.trace == second.trace


def test_another_model_draws_other_numbers() -> None:
    net = trial.network("home")
    known = trial.models()
    draws = [
        make_gateways(net, {"router": known.get(each)}, 1)["router"]._treatment.alg.generator().random()
        for each in ("correct", "none", "none")
    ]
    assert draws[0] != draws[1] == draws[2]


# -- in the other world ----------------------------------------------------------------------------


def _same(specs: Iterable[TrialSpec], bubble: Bubble) -> None:
    for spec in specs:
        if bubble.call(inside.digest, spec) != grid.played(spec).digest:
            where = difference(simulated(spec), emulated(spec, bubble))
            pytest.fail(f"{spec.name}: {where or 'they differ, and then they do not'}")


@pytest.mark.needs("emulated")
@pytest.mark.parametrize("model", grid.models())
def test_the_worlds_see_the_same(model: str, bubble: Bubble) -> None:
    _same(grid.some(grid.specs(model), SHARE), bubble)


def test_that_share_has_every_scenario_and_every_detector_several_times() -> None:
    chosen = [spec for model in grid.models() for spec in grid.some(grid.specs(model), SHARE)]
    times = Counter(spec.played for spec in chosen)
    assert set(times) == {spec.played for spec in grid.specs("none")}
    assert min(times.values()) >= 10


@pytest.mark.deep
@pytest.mark.needs("emulated")
@pytest.mark.parametrize("model", grid.models())
def test_the_worlds_see_the_same_of_everything(model: str, bubble: Bubble) -> None:
    _same(grid.specs(model), bubble)


def _with_a_mitigation(model: str, mitigation: str) -> list[TrialSpec]:
    return grid.specs(model, _NETWORKS.get(mitigation, "home"), mitigations=(mitigation,))


@pytest.mark.needs("emulated")
@pytest.mark.parametrize("mitigation", _MITIGATIONS)
def test_the_worlds_see_the_same_with_a_mitigation(mitigation: str, bubble: Bubble) -> None:
    for model in SOME_MODELS:
        _same(grid.some(_with_a_mitigation(model, mitigation), 1), bubble)


@pytest.mark.deep
@pytest.mark.needs("emulated")
@pytest.mark.parametrize("mitigation", _MITIGATIONS)
def test_the_worlds_see_the_same_of_everything_with_a_mitigation(mitigation: str, bubble: Bubble) -> None:
    for model in SOME_MODELS:
        _same(_with_a_mitigation(model, mitigation), bubble)


def _on_a_network(topology: str, model: str) -> Iterator[TrialSpec]:
    """What can be played there, in an order of its own."""
    segments = topologies.load(topology).networks
    specs = grid.specs(model, topology)
    for spec in grid.some(specs, len(specs)):
        if spec.scenario == "long-call" and any(each.is_impaired for each in segments.values()):
            # Each packet has a fate of its own there, and an hour has many.
            spec = replace(spec, scenario="long-call(duration=20)")
        # Not every network has everybody whom a scenario needs.
        with suppress(UsageError):
            grid.played(spec)
            yield spec


@pytest.mark.needs("emulated")
@pytest.mark.parametrize("topology", topologies.available())
def test_the_worlds_see_the_same_on_every_network(topology: str, bubble: Bubble) -> None:
    """One scenario or detector, and one with an ALG."""
    for model in ("none", "correct"):
        _same(islice(_on_a_network(topology, model), 1), bubble)


@pytest.mark.deep
@pytest.mark.needs("emulated")
@pytest.mark.parametrize("topology", topologies.available())
def test_the_worlds_see_the_same_of_everything_on_every_network(topology: str, bubble: Bubble) -> None:
    for model in ("none", "correct"):
        _same(_on_a_network(topology, model), bubble)


# -- in another interpreter --------------------------------------------------------------------------


def _expected(specs: Iterable[TrialSpec]) -> dict[str, str]:
    return {spec.name: grid.played(spec).digest for spec in specs}


ONE_OF_EACH = [spec for model in grid.models() for spec in grid.some(often(model), 1)]
SOME = [spec for model in SOME_MODELS for spec in grid.some(grid.specs(model), SHARE)]
EVERYTHING = [spec for model in grid.models() for spec in often(model)] + [
    spec for model in SOME_MODELS for spec in grid.specs(model) if spec.played not in OFTEN
]


def test_hash_seeds_make_no_difference() -> None:
    """Sets and dictionaries of strings have other orders there. This process has a seed of its own."""
    specs = ONE_OF_EACH + SOME
    assert in_another_interpreter("4242", "simulated", specs) == _expected(specs)


@pytest.mark.deep
def test_hash_seeds_make_no_difference_to_anything() -> None:
    one, other = (in_another_interpreter(seed, "simulated", EVERYTHING) for seed in ("1", "4242"))
    assert one == other == _expected(EVERYTHING)


@pytest.mark.needs("emulated")
@pytest.mark.parametrize("seed", ["1", pytest.param("4242", marks=pytest.mark.deep)])
def test_hash_seeds_make_no_difference_in_the_emulated_world(seed: str) -> None:
    assert in_another_interpreter(seed, "emulated", SOME) == _expected(SOME)


@pytest.mark.deep
@pytest.mark.needs("emulated")
@pytest.mark.parametrize("seed", ["1", "4242"])
def test_hash_seeds_make_no_difference_to_anything_in_the_emulated_world(seed: str) -> None:
    specs = [spec for model in SOME_MODELS for spec in grid.specs(model)]
    assert in_another_interpreter(seed, "emulated", specs) == _expected(specs)


# -- as another user -------------------------------------------------------------------------------


def _as_another_user(user: OrdinaryUser, specs: Iterable[TrialSpec]) -> dict[str, str]:
    done = user.run(["-m", "tests.experiments.trial.digests", "emulated", *arguments(specs)])
    assert done.returncode == 0, done.stderr
    answer: dict[str, str] = json.loads(done.stdout)
    return answer


@pytest.mark.needs("emulated")
def test_an_ordinary_user_sees_the_same(ordinary_user: OrdinaryUser) -> None:
    assert _as_another_user(ordinary_user, SOME) == _expected(SOME)


@pytest.mark.deep
@pytest.mark.needs("emulated")
def test_an_ordinary_user_sees_the_same_of_everything(ordinary_user: OrdinaryUser) -> None:
    specs = [spec for model in SOME_MODELS for spec in grid.specs(model)]
    assert _as_another_user(ordinary_user, specs) == _expected(specs)
