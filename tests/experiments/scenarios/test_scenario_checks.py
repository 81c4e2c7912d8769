"""Checks that must not pass for somebody else's sake."""

from __future__ import annotations

from dataclasses import replace

from siplab.experiments.scenarios.register import register
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from siplab.experiments.trial.stage import Setup, Stage
from siplab.lab.phone.phone import Phone
from siplab.lab.worlds.simulated import SimulatedWorld


def test_a_phone_is_not_known_because_another_of_its_user_is() -> None:
    world = SimulatedWorld(trial.network("home"), {"router": trial.models().get("none")}, 1)
    stage = Stage(world, Setup(models={"router": "none"}), 1)
    assert register(stage)
    config = replace(stage.phone.config, sip_port=5062, rtp_port=50000, password="wrong")
    second = Phone(config, stage.rng("second"))
    world.add(stage.host("phone")[0], second)
    assert not register(stage, second, "second phone ")
    assert {check.name: check.passed for check in stage.checks} == {
        "registered": True,
        "known to the server": True,
        "second phone registered": False,
        "second phone known to the server": False,
    }


def test_who_never_signed_on_does_not_sign_off() -> None:
    result, _ = trial.run(TrialSpec("home", "semicolon-loss", "deregister"))
    assert result.outcome == "fail"
    assert not any(check.passed for check in result.checks)
