"""Counting verdicts, and whether those who deserve it score badly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siplab.experiments.score import plan, tally
from siplab.experiments.score.plan import Expected, Subject
from siplab.experiments.score.tally import Score
from siplab.experiments.trial import controls, registry
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.rates import Rate
from siplab.experiments.trial.reach import Reach
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.experiments.trial.stage import Finding
from siplab.lab.errors import UsageError

WRONG = ("experiments/detectors/wrong",)


def judged(
    expected: Expected,
    verdict: str,
    *,
    touched: bool = True,
    named: Sequence[str] = (),
    changed: Sequence[str] = (),
    errors: Sequence[str] = (),
) -> tuple[Subject, TrialResult]:
    subject = Subject("it", "state" if expected == "alg" else "clean", expected, "home", "it")
    result = TrialResult(TrialSpec("home", "it", detector="d"), "simulated", errors=list(errors))
    result.finding = Finding(verdict, tuple(named))
    result.reach = Reach(touched, tuple(changed))
    return subject, result


@pytest.mark.parametrize(
    ("expected", "verdict", "touched", "outcome"),
    [
        ("alg", "alg", True, "caught"),
        ("alg", "clean", True, "missed"),
        ("alg", "undecided", True, "undecided"),
        ("alg", "error", True, "error"),
        ("alg", "clean", False, "out-of-reach"),
        ("alg", "undecided", False, "out-of-reach"),
        ("alg", "alg", False, "false-alarm"),
        ("alg", "error", False, "error"),
        ("clean", "clean", False, "quiet"),
        ("clean", "alg", False, "false-alarm"),
        ("clean", "undecided", False, "undecided"),
        ("clean", "error", False, "error"),
        ("clean", "perhaps", False, "error"),
        ("either", "alg", True, "unscored"),
        ("either", "clean", True, "unscored"),
        ("either", "error", True, "error"),
    ],
)
def test_outcomes(expected: Expected, verdict: str, touched: bool, outcome: str) -> None:
    assert tally.outcome(*judged(expected, verdict, touched=touched)) == outcome


def test_a_void_trial_is_nobodys_fault() -> None:
    subject, result = judged("alg", "clean", errors=["the model raised"])
    assert tally.outcome(subject, result) == "invalid"
    score = Score("d", (tally._row(subject, [result]),))
    assert score.detection == Rate(0, 0)
    assert score.count("invalid") == 1


def test_the_worst_of_several_trials_is_the_rows() -> None:
    subject, caught = judged("alg", "alg")
    _, missed = judged("alg", "clean")
    row = tally._row(subject, [caught, missed, caught])
    assert row.outcome == "missed"
    assert Score("d", (row,)).detection == Rate(2, 3)


@pytest.mark.parametrize(
    ("named", "changed", "located"),
    [
        (["Via"], ["Via", "Contact"], 1),
        (["contact:"], ["Contact"], 1),
        (["Via sent-by"], ["Via"], 1),
        (["c="], ["SDP c="], 1),
        (["CSeq"], ["Via"], 0),
        (["Viaduct"], ["Via"], 0),
        ([], ["Via"], 0),
    ],
)
def test_who_names_a_part_that_was_changed(named: list[str], changed: list[str], located: int) -> None:
    row = tally._row(*_one(judged("alg", "alg", named=named, changed=changed)))
    assert (row.located, row.locatable) == (located, 1)


def test_nothing_to_name_where_no_message_changed() -> None:
    row = tally._row(*_one(judged("alg", "alg", named=["Via"])))
    assert Score("d", (row,)).localisation == Rate(0, 0)


def _one(pair: tuple[Subject, TrialResult]) -> tuple[Subject, list[TrialResult]]:
    return pair[0], [pair[1]]


# -- intervals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17, table I: method 3, the Wilson score without correction.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_intervals_as_published(count: int, of: int, low: float, high: float) -> None:
    assert Rate(count, of).interval == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_an_interval_holds_its_rate(pair: tuple[int, int]) -> None:
    rate = Rate(*pair)
    assert rate.interval is not None
    assert rate.value is not None
    low, high = rate.interval
    assert 0 <= low <= rate.value + 1e-12
    assert rate.value - 1e-12 <= high <= 1


def test_no_rate_without_trials() -> None:
    assert Rate(0, 0).value is None
    assert Rate(0, 0).interval is None


# -- what is right ---------------------------------------------------------------------------------


def test_the_right_answer_follows_from_the_model() -> None:
    expected = {each.id: plan.expected_of(each) for each in trial.models()}
    assert [name for name, answer in expected.items() if answer == "clean"] == ["none"]
    # Their fault is the NAT's alone.
    either = {name for name, answer in expected.items() if answer == "either"}
    assert either == {"udp-binding-short", "hairpin-broken", "on-again-after-restart"}
    assert expected["correct"] == expected["keepalive-crlf-swallowed"] == "alg"


def test_every_fault_has_its_class() -> None:
    lacking = [each.id for each in trial.models() if each.card.kind == "fault" and not each.card.fault_class]
    assert lacking == []
    groups = {each.group for each in plan.subjects(["faults"])}
    assert {"rewriting", "parsing", "state", "transport", "policy", "clean"} == groups


def test_a_combination_has_the_class_of_its_parts_if_they_agree() -> None:
    known = trial.models()
    assert known.get("sdp-c-only+semicolon-loss").card.fault_class == "rewriting"
    assert known.get("ack-2xx-lost+semicolon-loss").card.fault_class == ""


def test_clean_controls_are_there_and_have_no_alg() -> None:
    there = {each.name for each in controls.available()}
    assert {"plain-nat", "no-nat", "symmetric", "double-nat", "ipv6", "carrier-grade-nat"} <= there
    assert {"loss-1", "loss-5", "proxy", "short-timers"} <= there
    for each in plan.subjects(["all"]):
        if each.control:
            assert (each.model, each.expected) == ("none", "clean")


def test_models_are_chosen_by_word_or_name() -> None:
    def chosen(*names: str) -> set[str]:
        return {each.model for each in plan.subjects(names)} - {"none"}

    assert chosen("correct", "port-overflow(mode=sum)") == {"correct", "port-overflow(mode=sum)"}
    assert "correct" not in chosen("faults")
    assert chosen("faults") < chosen("all") < chosen("variants")
    with pytest.raises(UsageError, match="unknown model 'corect'; did you mean correct"):
        chosen("corect")


def test_a_model_is_not_called_like_a_control(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from siplab.model import Card, Model\nMODEL = Model('no-nat', Card('Called like a control.'))\n"
    )
    with pytest.raises(UsageError, match="model 'no-nat' has the name of a clean control"):
        plan.subjects(["no-nat"], model_paths=(str(mine),))


def test_a_detector_is_scored_once() -> None:
    with pytest.raises(UsageError, match="detector 'mirror' is named twice"):
        plan.plan(["mirror", "mirror"], plan.subjects(["correct"]))


# -- those who are wrong on purpose ----------------------------------------------------------------


@pytest.fixture(scope="module")
def board() -> dict[str, Score]:
    names = ("always-alg", "always-clean", "any-private-address", "echo-only", "mirror")
    planned = plan.plan(names, plan.subjects(), detector_paths=WRONG)
    results = [trial.run(spec)[0] for spec in planned.trials]
    return {each.detector: each for each in tally.scores(planned, results)}


def test_the_wrong_ones_are_not_the_labs_own() -> None:
    own = {each.id for each in registry.detectors()}
    wrong = {each.id for each in registry.detectors(WRONG)} - own
    assert wrong == {"always-alg", "always-clean", "any-private-address", "echo-only"}


def test_who_accuses_everybody_is_worth_nothing(board: dict[str, Score]) -> None:
    score = board["always-alg"]
    assert score.detection.value == 1
    assert score.false_alarms.value == 1
    assert score.value <= 0
    # What could not be seen was accused all the same.
    alarms = {row.subject.id for row in score.rows if row.outcome == "false-alarm"}
    assert "keepalive-crlf-swallowed" in alarms


def test_who_acquits_everybody_is_worth_nothing(board: dict[str, Score]) -> None:
    score = board["always-clean"]
    assert score.detection.of > 70
    assert score.detection.value == 0
    assert score.false_alarms.value == 0
    assert score.value == 0


def test_who_accuses_private_addresses_accuses_plain_nat(board: dict[str, Score]) -> None:
    score = board["any-private-address"]
    outcomes = {row.subject.id: row.outcome for row in score.rows}
    for name in ("plain-nat", "symmetric", "double-nat", "carrier-grade-nat", "loss-1"):
        assert outcomes[name] == "false-alarm"
    for name in ("no-nat", "ipv6"):
        assert outcomes[name] == "quiet"
    assert outcomes["blind-ip-replace"] == "missed"  # no private address is left
    assert score.value < 0.1


def test_a_plain_echo_is_blind_to_who_restores(board: dict[str, Score]) -> None:
    score = board["echo-only"]
    outcomes = {row.subject.id: row.outcome for row in score.rows}
    assert outcomes["correct"] == "missed"
    assert outcomes["blind-ip-replace"] == "caught"  # it restores nothing
    assert score.false_alarms.value == 0
    assert score.value < 0.3


def test_one_that_works_stands_above_them(board: dict[str, Score]) -> None:
    good = board.pop("mirror")
    try:
        assert good.false_alarms.value == 0
        assert good.value > 0.8
        assert all(good.value > each.value + 0.5 for each in board.values())
        assert good.localisation is not None
        assert good.localisation.value == 1
    finally:
        board["mirror"] = good


def test_classes_add_up(board: dict[str, Score]) -> None:
    for score in board.values():
        parts = list(score.groups.values())
        assert sum(each.detection.of for each in parts) == score.detection.of
        assert sum(each.coverage.count for each in parts) == score.coverage.count
        assert sum(len(each.rows) for each in parts) == len(score.rows)


def test_what_is_seen_by_its_translation_says_nothing_of_the_fault() -> None:
    """``mirror`` makes no call with early media: it accuses the translation that the fault stands on."""
    rows = plan.subjects(["early-media-no-pinhole", "semicolon-loss", "correct"])
    planned = plan.plan(["mirror"], rows)
    (score,) = tally.scores(planned, [trial.run(each)[0] for each in planned.trials])
    found = {row.subject.id: row.outcome for row in score.rows if row.subject.group != "clean"}
    assert found == {
        "early-media-no-pinhole": "translation",
        "semicolon-loss": "caught",
        "correct": "caught",
    }
    assert (score.detection.count, score.detection.of) == (2, 2)
    assert (score.coverage.count, score.coverage.of) == (3, 3)


def test_a_fault_is_scored_alone_too() -> None:
    rows = plan.subjects(["bare", "losses"])
    groups = {row.group for row in rows}
    assert groups == {"bare", "loss", "clean"}
    others = [row.expected for row in rows if row.group != "clean" and row.expected != "alg"]
    assert others == ["either"]  # on-again-after-restart, whose fault is the NAT's
