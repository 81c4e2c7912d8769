"""Tests as users of the plugin write them: one per model, and trials of the lab's own."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from siplab.pytest_plugin import Labs

SEEN = Path(__file__).with_name("seen.txt")


@pytest.mark.alg_models("controls", "semicolon-loss", "port-overflow(mode=sum)")
@pytest.mark.parametrize("scenario", ["register", "outgoing-call"])
def test_call(alg_lab: Labs, alg_model: str, scenario: str) -> None:
    trial = alg_lab.trial(alg_model, scenario)
    breaks = alg_model == "semicolon-loss" or (alg_model != "correct" and scenario == "outgoing-call")
    assert trial.outcome == ("fail" if breaks and alg_model != "none" else "pass")
    assert trial.expected == ("clean" if alg_model == "none" else "alg")
    assert ("Via" in trial.changed_fields) == (alg_model != "none")
    digest = hashlib.sha256(trial.trace.to_json_lines().encode()).hexdigest()
    with SEEN.open("a") as file:
        file.write(f"{alg_model} {scenario} {digest}\n")


def test_what_helps(alg_lab: Labs) -> None:
    trial = alg_lab.trial("semicolon-loss", "register", mitigations=["alg-off"])
    assert (trial.outcome, trial.expected) == ("pass", "clean")
    assert [check.passed for check in trial.checks]
    double = alg_lab.trial("router=correct", "register", topology="home", seed=7)
    assert double.outcome == "pass"


@pytest.mark.alg_models("none")
class TestOfAClass:
    @pytest.mark.alg_models("correct")
    def test_nearest_mark(self, alg_model: str) -> None:
        assert alg_model == "correct"

    def test_mark_of_the_class(self, alg_model: str) -> None:
        assert alg_model == "none"

    def test_without(self) -> None:
        pass
