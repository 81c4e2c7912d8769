"""Packets of a trial as scapy's."""

from __future__ import annotations

import pytest

from siplab.experiments.pytest_plugin.labs import Trial
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError


def test_packets_of_a_tap_are_scapys() -> None:
    made = Trial(*trial.run(TrialSpec("home", "correct", scenario="register")))
    outside = [each for each in made.packets("router/outside") if each.src == "203.0.113.7"]
    sent = [each.payload for each in made.messages("router/outside", leaving=True)]
    assert [bytes(each["UDP"].payload) for each in outside] == sent
    assert {each.sniffed_on for each in made.packets()} >= {"phone", "router/inside", "router/outside"}


def test_nothing_is_sent_in_a_trial_that_is_over() -> None:
    made = Trial(*trial.run(TrialSpec("home", "correct", scenario="register")))
    with pytest.raises(UsageError, match="packets are sent in a lab") as raised:
        made.send("phone", b"E")
    assert len(str(raised.value).splitlines()) == 1
