"""Stories from the field: what was reported is what comes out, and it is said when it is not."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from siplab.experiments import cases
from siplab.experiments.cases import playing
from siplab.experiments.cases.schema import Step
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.result import TrialResult
from siplab.lab.errors import UsageError
from tests.command import siplab

ROOT = Path(__file__).parents[3]
MINE = """\
id: mine
title: Calls that drop
source: nobody
story: They say so.
lesson: None.
steps:
  - claim: They drop.
    model: MODEL
    scenarios: outgoing-call
    expect: fails
    notices: stays up
"""


# -- the three of the article --------------------------------------------------------------------------


@pytest.mark.parametrize("name", cases.available())
def test_what_was_reported_is_what_comes_out(name: str) -> None:
    case = cases.load(name)
    assert case.id == name
    verdicts = playing.play(case.steps, ["simulated"])
    assert [each.doubts for each in verdicts] == [()] * len(case.steps)
    # A story is one of trouble that something cures.
    trouble = [each.step for each in verdicts if each.measured != "works"]
    cures = [each.step for each in verdicts if each.step.cure]
    assert trouble
    assert cures
    assert all(each.expect == "works" for each in cures)
    assert all(example.why for each in verdicts for example in each.examples)


def test_each_of_the_articles_cases_is_there() -> None:
    sources = {cases.load(name).source for name in cases.available()}
    assert sources > {f"'Why SIP ALG is the Hidden VoIP Killer', case {number}" for number in (1, 2, 3)}


def test_the_trouble_of_the_hosted_service_comes_and_goes() -> None:
    """The same settings throughout: only the seeds differ, and the cure changes the ALG alone."""
    case = cases.load("hosted-voip")
    trouble, cure = playing.play(case.steps, ["simulated"])[:2]
    assert 0 < trouble.working < trouble.trials == 40
    assert {"caller hears", "stays up"} <= set(trouble.noticed)
    assert cure.working == cure.trials == 40
    specs = [replace(each, mitigations=()) for each in cure.step.trials()]
    assert specs == trouble.step.trials()


@pytest.mark.needs("emulated")
@pytest.mark.parametrize("name", cases.available())
def test_the_same_in_both_worlds(
    name: str,
) -> None:
    done = siplab("case", name, "--world", "both", "--json", COLUMNS="160")
    data = json.loads(done.stdout)
    assert done.returncode == 0
    assert data["holds"] is True
    assert data["worlds"] == ["simulated", "emulated"]


# -- the command -----------------------------------------------------------------------------------------


def test_the_list() -> None:
    done = siplab("case", "--json", COLUMNS="160")
    assert done.returncode == 0
    assert [each["id"] for each in json.loads(done.stdout)] == cases.available()


def test_a_story_is_told() -> None:
    done = siplab("case", "legacy-pbx", "--world", "simulated", COLUMNS="160")
    assert done.returncode == 0
    assert "'Why SIP ALG is the Hidden VoIP Killer', case 1" in done.stdout
    assert "cured by: With the ALG on" in " ".join(done.stdout.split())
    assert "registered (3)" in done.stdout
    # The commands that it names show trials that fail.
    commands = re.findall(r"^ *(siplab call .*)$", done.stdout, re.MULTILINE)
    assert commands
    assert all("--phone legacy" in each for each in commands)


def test_a_claim_that_is_not_so(
    tmp_path: Path,
) -> None:
    file = tmp_path / "mine.yaml"
    for model, status, words in (
        ("ack-2xx-lost", 0, ""),
        ("correct", 1, "the case says that it fails; measured, it works"),
        ("semicolon-loss", 1, "no trial failed at 'stays up'; trials failed at 'registered' too"),
    ):
        file.write_text(MINE.replace("MODEL", model))
        done = siplab("case", str(file), "--world", "simulated", COLUMNS="160")
        assert done.returncode == status, model
        told = re.findall(r"Step 1 is not what is claimed: (.*)\.", done.stdout)
        assert "; ".join(told) == words


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("scenarios", "scenery", ["mine.yaml:7:", "steps.0.scenarios"]),
        ("    notices: stays up\n", "", ["steps.0.notices", "name the checks that fail"]),
        ("expect: fails", "expect: works", ["steps.0.notices", "what works fails no check"]),
        ("expect: fails", "expect: rains", ["steps.0.expect", "'works', 'fails' or 'varies'"]),
        ("outgoing-call", "outgoing-cal", ["unknown scenario 'outgoing-cal'", "outgoing-call"]),
        ("MODEL", "no-such", ["unknown model 'no-such'"]),
    ],
)
def test_a_mistake_in_a_case_of_ones_own(
    before: str,
    after: str,
    words: list[str],
    tmp_path: Path,
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(MINE.replace(before, after).replace("MODEL", "correct"))
    done = siplab("case", str(file), "--world", "simulated", COLUMNS="160")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    for word in words:
        assert word in done.stderr


def test_an_unknown_case() -> None:
    with pytest.raises(UsageError, match=r"unknown case 'legacy'.*legacy-pbx"):
        cases.load("legacy")


def test_the_case_of_the_page(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "cases.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    assert all(each.holds for each in playing.play(cases.load(str(file)).steps, ["simulated"]))


# -- judging -----------------------------------------------------------------------------------------------


def step(**changes: object) -> Step:
    return Step.model_validate(
        {"claim": "So.", "model": "none", "scenarios": "register", "expect": "works", **changes}
    )


def results(each: Step) -> list[TrialResult]:
    return [trial.run(spec)[0] for spec in each.trials()]


def test_a_step_names_the_far_phone() -> None:
    assert [each.far_phone for each in step(far_phone="libre").trials()] == ["libre"]


def test_a_void_trial_bears_nothing_out() -> None:
    one = step()
    found = results(one)
    found[0].errors = ["the model raised ValueError"]
    verdict = playing.judge(one, [found])
    assert verdict.measured is None
    assert verdict.doubts == ("a trial is invalid: the model raised ValueError",)


def test_worlds_that_differ_are_noticed() -> None:
    one = step(repeat=2)
    assert playing.judge(one, [results(one), results(one)]).holds
    other = results(one)
    other[1].duration += 0.5
    (doubt,) = playing.judge(one, [results(one), other]).doubts
    assert doubt.startswith("the two worlds differ in none__register__seed2")


def test_some_that_fail_are_neither_all_nor_none() -> None:
    one = step(model="nat-hidden-no-keepalive", scenarios=["incoming-call", "incoming-call(idle=70)"])
    verdict = playing.judge(one, [results(one)])
    assert (verdict.measured, verdict.working, dict(verdict.noticed)) == ("varies", 1, {"rings": 1})
    assert verdict.doubts == ("the case says that it works; measured, it varies",)
