"""The endpoints that a trial has where nobody names any, and what the given faults come to with others."""

from __future__ import annotations

import pytest

import siplab
from siplab.alg_models import catalogue
from siplab.experiments.library import experiment
from siplab.experiments.output import cards
from siplab.experiments.trial import endpoints, registry
from siplab.experiments.trial.pairs import DEFAULT, STRICT, Pair
from siplab.experiments.trial.run import run
from siplab.experiments.trial.spec import TrialSpec
from siplab.experiments.trial.stage import Setup
from tests import grid

GIVEN = ("blind-ip-replace", "semicolon-loss", "port-overflow", "call-id-rewrite")
FORGIVING = Pair("libre", "proxy-detect")


def outcomes(model: str, pair: Pair) -> list[str]:
    """What fails first when the phone registers, calls and is called."""
    found = []
    for scenario in ("register", "outgoing-call", "incoming-call"):
        failure = grid.outcome(TrialSpec("home", model, scenario).between(pair)).first_failure
        found.append("works" if failure is None else failure.name)
    return found


@pytest.mark.parametrize("scenario", ["incoming-call", "rtcp"])
def test_naming_the_default_changes_no_byte(scenario: str) -> None:
    bare = TrialSpec("home", "correct", scenario)
    _, one = run(bare)
    _, other = run(bare.between(DEFAULT))
    assert one.to_json_lines() == other.to_json_lines()
    _, strict = run(bare.between(STRICT))
    assert strict.to_json_lines() != one.to_json_lines()


def test_whoever_makes_a_world_takes_the_same_default() -> None:
    named = endpoints.apply(Setup({}), DEFAULT.phone, DEFAULT.server, DEFAULT.far_phone)
    assert endpoints.apply(Setup({})) == named
    assert named.server["nat_tests"] == ("contact-private", "via-host", "via-port")
    for known, each in ((registry.phones(), DEFAULT.phone), (registry.servers(), DEFAULT.server)):
        assert known.get(each).id == each


def test_the_servers_of_before_bring_their_phones() -> None:
    for server in ("rport-aware", "hosted", "strict", "strict-media", "strict-addresses"):
        assert registry.servers().get(server).settings.far_kind == STRICT.phone
    assert "latch_after" not in endpoints.apply(Setup({}), "plain", "rport-aware").far_phone
    assert endpoints.apply(Setup({}), far_phone="libre", server="hosted").far_phone["latch_after"] == 0


def test_the_quickstart_names_what_it_runs_with() -> None:
    chosen = experiment.load("quickstart")
    assert (chosen.phones, chosen.servers) == ([DEFAULT.phone], [DEFAULT.server])
    assert experiment.load("endpoints").models == chosen.models == ["none", "correct", *GIVEN]


@pytest.mark.parametrize("model", GIVEN)
def test_each_given_fault_fails_with_the_default_endpoints(model: str) -> None:
    assert outcomes(model, DEFAULT) == ["registered"] * 3


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        # As baresip and Kamailio with nathelper came to (tests/data/real-cells.tsv).
        ("blind-ip-replace", ["works"] * 3),
        ("call-id-rewrite", ["works"] * 3),
        ("semicolon-loss", ["registered"] * 3),
        ("port-overflow", ["works", "rings", "rings"]),
    ],
)
def test_others_forgive_what_they_do_not_compare(model: str, expected: list[str]) -> None:
    assert outcomes(model, FORGIVING) == expected


@pytest.mark.parametrize("model", ["none", "correct"])
def test_all_of_them_work_without_a_fault(model: str) -> None:
    for pair in (DEFAULT, STRICT, FORGIVING, Pair("sipp", "proxy-detect")):
        assert outcomes(model, pair) == ["works"] * 3, pair


def test_a_phone_that_knows_its_call_id_only_throws_every_answer_away() -> None:
    """As SIPp does: tests/experiments/programs/test_sipp.py."""
    for model in ("blind-ip-replace", "call-id-rewrite"):
        assert outcomes(model, Pair("sipp", "proxy-detect")) == ["registered"] * 3


def test_a_card_says_who_suffers() -> None:
    told = cards.model("contact-wrong-port")["breaks scenarios"]
    by = {(each["phone"], each["server"]): each for each in told}
    assert "incoming-call" in by[DEFAULT.phone, DEFAULT.server]["scenarios"]
    assert "incoming-call" not in by[STRICT.phone, STRICT.server]["scenarios"]
    seen = [each for each in told if each["seen"]]
    assert {each["phone"] for each in seen} == {"baresip 1.0.0"}
    assert ["incoming-call"] in [each["scenarios"] for each in seen]
    both = catalogue.load(plugins=False).get("contact-wrong-port+ack-2xx-lost").card.sufferers
    assert [(each.phone, each.server) for each in both] == [
        (DEFAULT.phone, DEFAULT.server),
        (STRICT.phone, STRICT.server),
    ]
    assert {"fork", "hold"} <= set(both[0].breaks)


@pytest.mark.parametrize("scenario", ["rtcp", "rtcp(port=next-port)", "rtcp(port=mux)", "ice-call"])
@pytest.mark.parametrize("model", ["none", "correct"])
def test_the_relay_carries_reports_and_stands_in_nobodys_way(model: str, scenario: str) -> None:
    result, _ = run(TrialSpec("home", model, scenario))
    assert result.outcome == "pass", result.first_failure


def test_a_providers_outbound_proxy_is_called_back() -> None:
    """Its Path says so, where an ALG that translates Contact would have calls go past it."""
    assert run(TrialSpec("proxied", "correct", "incoming-call"))[0].outcome == "pass"


def test_a_matrix_takes_kinds_of_far_phones() -> None:
    found = siplab.matrix(["none"], ["register"], far_phones=["desk", "libre"])
    assert [each.spec.far_phone for each in found] == ["desk", "libre"]
