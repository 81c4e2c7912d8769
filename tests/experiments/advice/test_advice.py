"""Advice about a router: what it says that helps does so when it is run again, and spoils nothing."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from siplab.experiments.advice import advising
from siplab.experiments.advice.advising import GROUPS, Advice
from siplab.experiments.commands import cli
from siplab.experiments.mitigations._actors import Actor
from siplab.experiments.trial import registry
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.pairs import STRICT
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.experiments.trial.stage import Check
from siplab.lab.errors import UsageError

MODELS = [each.id for each in trial.models().runnable()]
REMEDIES = [each.id for each in registry.mitigations()]
SAMPLE = random.Random("advice").sample(MODELS, 60)


def outcome(spec: TrialSpec) -> str:
    return trial.run(spec)[0].outcome


def assert_true(advice: Advice) -> None:
    """Every offer does what it says, when it is run again, and asks nobody outside its group."""
    for group, offer in advice.offers.items():
        for remedy in offer.remedies:
            assert set(registry.mitigations().get(remedy).settings.actors) <= GROUPS[group]
        for name in (*advice.broken, *offer.breaks):
            spec = replace(advice.spec, scenario=name, mitigations=offer.remedies)
            assert (outcome(spec) == "pass") is (name in offer.cures), name


def test_every_remedy_says_who_acts() -> None:
    for each in registry.mitigations():
        assert each.settings.actors
        assert set(each.settings.actors) <= set(Actor)


def test_a_router_that_lets_media_go_astray() -> None:
    base = TrialSpec(model="sdp-c-only", server="strict-addresses")
    advice = advising.advise(base, ["outgoing-call", "hold"])
    assert set(advice.broken) == {"outgoing-call", "hold"}
    assert advice.offers["provider"].remedies == ("hosted-nat-traversal",)
    assert_true(advice)


def test_what_cannot_be_switched_off_is_not_advised() -> None:
    assert set(advising.refused_by_card("virgin-superhub")) == {"alg-off"}
    assert advising.refused_by_card("netgear") == {}
    assert advising.refused_by_card("ack-2xx-lost") == {}


def test_a_router_without_a_fault_needs_nothing() -> None:
    advice = advising.advise(TrialSpec(model="correct"))
    assert advice.broken == {}
    assert advice.offers == {}


def test_words_that_nothing_failing_has() -> None:
    with pytest.raises(
        UsageError, match="nothing fails with model 'ack-2xx-lost' that has to do with: fax machine"
    ):
        advising.advise(TrialSpec(model="ack-2xx-lost"), ["fax machine"])


@pytest.mark.parametrize(
    ("base", "words"),
    [
        (TrialSpec(model="nope"), "unknown model 'nope'"),
        (TrialSpec(model="correct", phone="nope"), "unknown phone 'nope'"),
        (TrialSpec(model="correct", server="nope"), "unknown server 'nope'"),
        (TrialSpec("nope", "correct"), "unknown topology 'nope'"),
    ],
)
def test_what_nobody_knows_is_not_said_to_work(base: TrialSpec, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        advising.advise(base, run=lambda specs: pytest.fail(f"run: {specs[0].name}"))


def test_a_router_that_nobody_knows_gets_no_advice() -> None:
    with pytest.raises(UsageError, match="'netgear' is unknown"):
        advising.advise(TrialSpec(model="netgear"))


def test_where_nothing_works_without_a_fault_the_router_is_not_acquitted() -> None:
    def failing(specs: Sequence[TrialSpec]) -> list[TrialResult]:
        return [TrialResult(each, "simulated", [Check("registered", False, "")]) for each in specs]

    with pytest.raises(UsageError, match="no scenario works"):
        advising.advise(TrialSpec(model="correct"), run=failing)


def test_a_remedy_spoils_no_trial() -> None:
    """Whatever is combined, the lab comes to an end with an answer: no media that go round in it for ever."""
    rng = random.Random("remedies")
    for _ in range(60):
        scenario = rng.choice([each.id for each in registry.scenarios()])
        spec = TrialSpec(model=rng.choice(MODELS), scenario=scenario, mitigations=(rng.choice(REMEDIES),))
        try:
            trial.check_spec(spec)
        except UsageError:
            continue
        result = trial.run(spec)[0]
        assert result.errors == [], spec.name


def test_a_held_call_by_way_of_an_outbound_proxy() -> None:
    """The Contact in dialogs is the far phone's, or media go round in the relay."""
    for pair in ((), (STRICT,)):
        spec = TrialSpec(scenario="hold", mitigations=("outbound-proxy",))
        assert outcome(spec.between(*pair) if pair else spec) == "pass"


def test_the_command() -> None:
    result = CliRunner().invoke(cli.app, ["advise", "-m", "ack-2xx-lost", "--symptom", "outgoing", "--json"])
    assert result.exit_code == 0
    told = json.loads(result.output)
    assert set(told["broken"]) == {"outgoing-call", "tcp-call"}
    assert ["alg-off"] in [each["remedies"] for each in told["offers"] if each["group"] == "router"]
    text = CliRunner().invoke(cli.app, ["advise", "-m", "ack-2xx-lost", "--symptom", "outgoing"]).output
    assert "--mitigation" in text


@pytest.mark.parametrize(
    "model",
    [SAMPLE[1], *(pytest.param(each, marks=pytest.mark.deep) for each in SAMPLE if each != SAMPLE[1])],
)
def test_what_is_advised_helps(model: str) -> None:
    assert_true(advising.advise(TrialSpec(model=model)))
