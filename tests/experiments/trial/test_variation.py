"""What a seed varies with --vary: other phones, the same outcome where there is no ALG."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from siplab.experiments.output import commands
from siplab.experiments.trial import registry, variation
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.phone.arrangement import arranged
from siplab.lab.wire import syntax
from siplab.lab.wire.sip import SipMessage
from siplab.lab.worlds.emulated.bubble import Bubble
from siplab.lab.worlds.trace import Sent
from tests import grid
from tests.lab.worlds import inside

SCENARIOS = [each.id for each in registry.scenarios()]


def varied(scenario: str, seed: int = 1, model: str = "none", phone: str = "") -> TrialSpec:
    return TrialSpec(model=model, scenario=scenario, seed=seed, vary=True, phone=phone)


def messages(spec: TrialSpec) -> list[bytes]:
    _, trace = trial.run(spec)
    sent = [each.payload for each in trace.records if isinstance(each, Sent)]
    return [data for data in sent if SipMessage.parse(data).is_sip]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_passes_without_an_alg(scenario: str) -> None:
    seed = 1 + SCENARIOS.index(scenario) % 7
    outcome = trial.run(varied(scenario, seed))[0]
    assert outcome.outcome == trial.run(TrialSpec(scenario=scenario))[0].outcome, outcome.first_failure


@pytest.mark.deep
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_passes_without_an_alg_with_many_seeds(scenario: str) -> None:
    plain = trial.run(TrialSpec(scenario=scenario))[0].outcome
    for seed in range(1, 41):
        assert trial.run(varied(scenario, seed))[0].outcome == plain, seed


def test_what_is_written_breaks_no_rule_and_differs_between_seeds() -> None:
    first = set()
    for seed in range(1, 13):
        sent = messages(varied("outgoing-call", seed, phone="plain"))
        assert [found for each in sent for found in syntax.check(SipMessage.parse(each))] == []
        registration = SipMessage.parse(sent[0])
        first.add(
            (
                tuple(field.name for field in registration.fields),
                registration.value(b"user-agent"),
                registration.value(b"expires"),
            )
        )
    assert len(first) == 12


def test_the_same_seed_is_the_same_trial_and_another_world_sees_the_same_phone() -> None:
    spec = varied("outgoing-call", 3)
    assert messages(spec) == messages(spec)
    assert messages(spec) != messages(replace(spec, vary=False))


def test_two_models_meet_the_same_phone() -> None:
    assert messages(varied("register", model="none"))[0] == messages(varied("register", model="correct"))[0]


@pytest.mark.needs("emulated")
@pytest.mark.parametrize("scenario", ["outgoing-call", "tcp-call", "incoming-call"])
def test_the_worlds_see_the_same(scenario: str, bubble: Bubble) -> None:
    spec = varied(scenario, 2, model="correct")
    assert bubble.call(inside.digest, spec) == grid.played(spec).digest


def test_what_somebody_has_chosen_stays() -> None:
    drawn = variation.phone(random.Random(1), {"sip_port", "rtp_port"})
    assert not {"sip_port", "rtp_port"} & set(drawn)
    for seed in range(1, 9):
        # A kind's port, a remedy that counts on the ports.
        offers = b"".join(messages(varied("outgoing-call", seed, phone="linphone")))
        assert b"m=audio 7078 " in offers
        forwarded = replace(varied("incoming-call", seed), mitigations=("port-forward",))
        assert trial.run(forwarded)[0].outcome == "pass"


def test_a_varied_trial_is_shown_by_its_command_and_named_apart() -> None:
    spec = varied("register", 4)
    assert commands.call(spec).endswith("--seed 4 --vary")
    assert spec.name.endswith("__vary")
    assert trial.run(spec)[0].settings()["vary"] is True
    assert "vary" not in trial.run(replace(spec, vary=False))[0].settings()


def test_a_phone_arranges_its_fields_and_keeps_those_of_one_name_in_order() -> None:
    wire = (
        b"INVITE sip:b@lab.test SIP/2.0\r\nVia: SIP/2.0/UDP 1.1.1.1;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n"
        b"From: <sip:a@lab.test>;tag=1\r\nTo: <sip:b@lab.test>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n"
        b"Record-Route: <sip:x>\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 0\r\n\r\n"
    )
    message = SipMessage.parse(arranged(wire, ("to", "cseq", "from", "content-length"), ("Organization: O",)))
    assert [field.raw for field in message.fields] == [
        b"Via: SIP/2.0/UDP 1.1.1.1;branch=z9hG4bK1\r\n",
        b"Max-Forwards: 70\r\n",
        b"Record-Route: <sip:x>\r\n",
        b"Organization: O\r\n",
        b"Call-ID: 1\r\n",
        b"X-A: 1\r\n",
        b"X-A: 2\r\n",
        b"To: <sip:b@lab.test>\r\n",
        b"CSeq: 1 INVITE\r\n",
        b"From: <sip:a@lab.test>;tag=1\r\n",
        b"Content-Length: 0\r\n",
    ]
    assert arranged(b"\r\n\r\n", ("to",), ("Organization: O",)) == b"\r\n\r\n"


def test_a_detector_runs_with_it_too() -> None:
    spec = TrialSpec(detector="mirror", model="none", vary=True)
    assert trial.run(spec)[0].outcome == "clean"
