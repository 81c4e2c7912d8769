"""Every kind of phone and server: the same bytes again, in another interpreter, and in the other world."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from siplab.experiments.trial import registry
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.worlds.emulated.bubble import Bubble
from tests import grid
from tests.experiments.trial.digests import in_another_interpreter
from tests.lab.worlds import inside

MODELS = ("none", "correct", "blind-ip-replace", "semicolon-loss", "port-overflow", "call-id-rewrite")
KINDS = [
    *[TrialSpec(phone=each.id, far_phone=each.id) for each in registry.phones()],
    *[TrialSpec(server=each.id) for each in registry.servers()],
    *[
        TrialSpec(phone="libre", server=each)
        for each in ("pbx-nat(direct_media=true)", "trunk(private_own=true)")
    ],
]
EACH_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.phone + kind.server)


def trials(kind: TrialSpec) -> list[TrialSpec]:
    """A kind behind some models with every scenario, in an order of its own."""
    found = [
        replace(kind, model=model, scenario=item.id) for model in MODELS for item in registry.scenarios()
    ]
    random.Random(kind.name).shuffle(found)
    return found


def check(specs: list[TrialSpec], bubble: Bubble) -> None:
    for spec in specs:
        played = grid.played(spec)
        assert played.result.outcome != "error", played.result.errors
        assert bubble.call(inside.digest, spec) == played.digest, spec.name


@EACH_KIND
def test_again(kind: TrialSpec) -> None:
    (spec,) = trials(kind)[:1]
    outcome = inside.run(spec, emulated=False)
    assert grid.hashed(outcome.result, outcome.trace) == grid.played(spec).digest


@pytest.mark.needs("emulated")
@EACH_KIND
def test_the_worlds_see_the_same(kind: TrialSpec, bubble: Bubble) -> None:
    check(trials(kind)[:1], bubble)


@pytest.mark.deep
@pytest.mark.needs("emulated")
@EACH_KIND
def test_the_worlds_see_the_same_of_everything(kind: TrialSpec, bubble: Bubble) -> None:
    check(trials(kind), bubble)


def check_interpreter(hash_seed: str, world: str, count: int) -> None:
    specs = [spec for kind in KINDS for spec in trials(kind)[:count]]
    expected = {spec.name: grid.played(spec).digest for spec in specs}
    assert in_another_interpreter(hash_seed, world, specs) == expected


def test_hash_seeds_make_no_difference() -> None:
    check_interpreter("4242", "simulated", 1)


@pytest.mark.deep
@pytest.mark.needs("emulated")
@pytest.mark.parametrize("world", ["simulated", "emulated"])
@pytest.mark.parametrize("hash_seed", ["1", "4242"])
def test_hash_seeds_make_no_difference_in_both_worlds(hash_seed: str, world: str) -> None:
    check_interpreter(hash_seed, world, 6)
