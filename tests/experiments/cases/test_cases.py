"""Stories from the field: what was reported is what comes out, and it is said when it is not."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from siplab.experiments import cases
from siplab.experiments.cases import playing
from siplab.experiments.cases.schema import Step
from siplab.experiments.commands.cli import main
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.result import TrialResult
from siplab.lab.errors import UsageError

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


def siplab(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    """Exit status, output and errors of a command."""
    monkeypatch.setattr(sys, "argv", ["siplab", *arguments])
    monkeypatch.setenv("COLUMNS", "160")
    status = 0
    try:
        main()
    except SystemExit as end:
        status = int(end.code or 0)
    out, err = capsys.readouterr()
    return status, out, err


# -- the three of the article --------------------------------------------------------------------------


@pytest.mark.parametrize("name", cases.available())
def test_what_was_reported_is_what_comes_out(name: str) -> None:
    case = cases.load(name)
    assert case.id == name
    verdicts = playing.play(case, ["simulated"])
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
    assert sources == {f"'Why SIP ALG is the Hidden VoIP Killer', case {number}" for number in (1, 2, 3)}


def test_the_trouble_of_the_hosted_service_comes_and_goes() -> None:
    """The same settings throughout: only the seeds differ, and the cure changes the ALG alone."""
    case = cases.load("hosted-voip")
    trouble, cure = playing.play(case, ["simulated"])[:2]
    assert 0 < trouble.working < trouble.trials == 40
    assert {"caller hears", "stays up"} <= set(trouble.noticed)
    assert cure.working == cure.trials == 40
    specs = [replace(each, mitigations=()) for each in cure.step.trials()]
    assert specs == trouble.step.trials()


@pytest.mark.needs("emulated")
@pytest.mark.parametrize("name", cases.available())
def test_the_same_in_both_worlds(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = siplab(monkeypatch, capsys, "case", name, "--world", "both", "--json")
    data = json.loads(out)
    assert status == 0
    assert data["holds"] is True
    assert data["worlds"] == ["simulated", "emulated"]


# -- the command -----------------------------------------------------------------------------------------


def test_the_list(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = siplab(monkeypatch, capsys, "case", "--json")
    assert status == 0
    assert [each["id"] for each in json.loads(out)] == cases.available()


def test_a_story_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = siplab(monkeypatch, capsys, "case", "legacy-pbx", "--world", "simulated")
    assert status == 0
    assert "'Why SIP ALG is the Hidden VoIP Killer', case 1" in out
    assert "cured by: With the ALG on" in " ".join(out.split())
    assert "registered (3)" in out
    # The commands that it names show trials that fail.
    commands = re.findall(r"^ *(siplab call .*)$", out, re.MULTILINE)
    assert commands
    assert all("--phone legacy" in each for each in commands)


def test_a_claim_that_is_not_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    for model, status, words in (
        ("ack-2xx-lost", 0, ""),
        ("correct", 1, "the case says that it fails; measured, it works"),
        ("semicolon-loss", 1, "no trial failed at 'stays up'; trials failed at 'registered' too"),
    ):
        file.write_text(MINE.replace("MODEL", model))
        got, out, _ = siplab(monkeypatch, capsys, "case", str(file), "--world", "simulated")
        assert got == status, model
        told = re.findall(r"Step 1 is not what is claimed: (.*)\.", out)
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
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(MINE.replace(before, after).replace("MODEL", "correct"))
    status, _, err = siplab(monkeypatch, capsys, "case", str(file), "--world", "simulated")
    assert status == 2
    assert len(err.strip().splitlines()) == 1
    for word in words:
        assert word in err


def test_an_unknown_case() -> None:
    with pytest.raises(UsageError, match=r"unknown case 'legacy'.*legacy-pbx"):
        cases.load("legacy")


def test_the_case_of_the_page(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "cases.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    assert all(each.holds for each in playing.play(cases.load(str(file)), ["simulated"]))


# -- judging -----------------------------------------------------------------------------------------------


def step(**changes: object) -> Step:
    return Step.model_validate(
        {"claim": "So.", "model": "none", "scenarios": "register", "expect": "works", **changes}
    )


def results(each: Step) -> list[TrialResult]:
    return [trial.run(spec)[0] for spec in each.trials()]


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
