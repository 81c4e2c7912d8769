"""Exercises: what they say is true, the same for a whole class, and no one is told before the answer."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from siplab.experiments import exercises
from siplab.experiments.exercises import questions
from siplab.experiments.exercises.schema import Exercise
from siplab.experiments.output.viewing import as_json
from siplab.experiments.sandbox import session
from siplab.experiments.trial import run as trial
from siplab.lab import documents
from siplab.lab.errors import UsageError
from tools import exercises as sheet

ALL = exercises.exercises()
UNTOLD = {"none", "correct"}  # ids that are words, too


@pytest.mark.parametrize("name", ALL)
def test_the_symptom_fails_and_the_remedies_that_cure_are_those_that_do(name: str) -> None:
    exercise = ALL[name]
    spec = exercise.trial.spec(seed=1)
    result, _ = trial.run(spec)
    assert result.first_failure is not None
    assert result.first_failure.name == exercise.fails
    assert not result.errors
    offered = {*exercise.remedies.cure, *exercise.remedies.useless}
    outcomes = {each: trial.run(replace(spec, mitigations=(each,)))[0].outcome for each in offered}
    assert outcomes == {each: "pass" if each in exercise.remedies.cure else "fail" for each in offered}


@pytest.mark.deep
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("seed", [2, 3, 4711])
def test_it_is_true_with_every_seed(name: str, seed: int) -> None:
    exercise = ALL[name]
    spec = exercise.trial.spec(seed)
    result, _ = trial.run(spec)
    assert result.first_failure is not None
    assert result.first_failure.name == exercise.fails
    for each in (*exercise.remedies.cure, *exercise.remedies.useless):
        outcome = trial.run(replace(spec, mitigations=(each,)))[0].outcome
        assert (each, outcome) == (each, "pass" if each in exercise.remedies.cure else "fail")


def test_there_are_enough_from_easy_to_hard_and_one_that_is_no_alg() -> None:
    assert len(ALL) >= 20
    levels = [each.level for each in ALL.values()]
    assert levels == sorted(levels, key=("easy", "medium", "hard").index)
    assert {levels.count(each) >= 5 for each in ("easy", "medium", "hard")} == {True}
    assert "none" in {each.trial.model for each in ALL.values()}


@pytest.mark.parametrize("name", ALL)
def test_nothing_names_the_model_before_the_answer(name: str) -> None:
    exercise = ALL[name]
    question = questions.ask(exercise, seed=1)
    (asked,) = question.document.variants
    assert {each.model for each in asked.trial.nodes} <= {"?", ""}
    assert all(each.cause is None for each in asked.trial.checks)
    told = [as_json(question.document), question.causes, question.remedies, name, exercise.title]
    text = json.dumps([*told, exercise.story, exercise.hints])
    model = exercise.trial.model.partition("(")[0]
    if model not in UNTOLD:
        assert not re.search(rf"(?<![\w-]){re.escape(model)}(?![\w-])", text)


def test_the_same_seed_is_the_same_exercise_and_another_one_another() -> None:
    exercise = ALL["never-registered"]
    assert questions.ask(exercise, seed=5) == questions.ask(exercise, seed=5)
    orders = {questions.ask(exercise, seed=seed).causes for seed in range(6)}
    assert len(orders) > 1
    assert {frozenset(each) for each in orders} == {
        frozenset({exercise.causes.right, *exercise.causes.wrong})
    }


def test_right_and_wrong_answers() -> None:
    exercise = ALL["never-registered"]
    right, cures = exercise.causes.right, list(exercise.remedies.cure)
    assert questions.judge(exercise, right, cures).right
    assert not questions.judge(exercise, exercise.causes.wrong[0], cures).right
    verdict = questions.judge(exercise, right, [*cures[1:], "rport", "stun"])
    assert (verdict.right, verdict.cause, verdict.missed, verdict.useless) == (False, True, 1, 2)
    assert questions.judge(ALL["choppy-sound"], ALL["choppy-sound"].causes.right, []).right


def test_the_page_is_told_what_helps_only_when_it_asks_for_the_answer() -> None:
    found = json.loads(session.answer(json.dumps({"ask": "exercise", "name": "one-way-audio", "seed": 3})))
    assert "solution" not in found
    found = json.loads(session.answer(json.dumps({"ask": "solve", "name": "one-way-audio", "seed": 3})))
    assert found["document"]["model"] == "sdp-c-only"
    assert found["cure"] == list(ALL["one-way-audio"].remedies.cure)
    found = json.loads(session.answer(json.dumps({"ask": "exercise", "name": "<img>", "seed": 3})))
    assert "<img>" in found["error"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"cure: [alg-off": "cure: [rport, alg-off"}, "'rport' is said to cure, too"),
        ({"level: easy": "level: trivial"}, "level"),
        ({"fails:": "failing:"}, "fails"),
    ],
)
def test_a_faulty_file_is_one_line(tmp_path: Path, wrong: dict[str, str], said: str) -> None:
    text = (Path(exercises.__file__).parent / "never-registered.yaml").read_text(encoding="utf-8")
    for old, new in wrong.items():
        assert old in text
        text = text.replace(old, new)
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=re.escape(said)) as caught:
        documents.read(file, Exercise)
    assert "\n" not in str(caught.value)


def test_the_trainers_sheet_is_made_of_them() -> None:
    """If not: python -m tools.exercises --write"""
    text = sheet.PART.page.read_text(encoding="utf-8")
    assert sheet.PART.updated(text) == text
