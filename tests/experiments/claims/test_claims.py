"""What the articles claim: every claim is measured, or says why not, and comes out as its page has it."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from siplab.alg_models.controls import CORRECT
from siplab.experiments import claims
from siplab.experiments.claims import measuring
from siplab.experiments.claims.schema import Answer, Claim
from siplab.experiments.commands import cli
from siplab.experiments.trial import registry
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from tools import claims as tool

# What no ALG may touch: what people write to each other, and what a phone has signed (RFC 3261 22.4).
UNTOUCHABLE = {"message": {"body"}, "two-phones": {"proxy-authorization"}}
# What nothing in the lab can show; each says why.
UNMEASURED = {"echo", "rtsp"}


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, ["claims", *arguments], env={"COLUMNS": "200"})
    return result.exit_code, result.output


def test_every_claim_is_as_its_page_says() -> None:
    """Making the page measures all of them, and ends with an error where one is not as it says."""
    page = tool.PAGE.read_text(encoding="utf-8")
    assert tool.PART.updated(page) == page


@pytest.mark.deep
@pytest.mark.needs("emulated")
@pytest.mark.parametrize("claim", [each.id for each in claims.every().values() if each.observations])
def test_every_claim_is_so_in_both_worlds(claim: str) -> None:
    own = claims.every()[claim].model_copy(update={"cases": []})  # tests/experiments/cases has those
    measured = measuring.measure(own, ["simulated", "emulated"])
    assert [doubt for each in measured.verdicts for doubt in each.doubts] == []


@pytest.mark.needs("emulated")
def test_a_claim_that_is_so_in_a_real_network() -> None:
    status, text = run("no-registration", "--world", "both", "--json")
    assert status == 0
    assert json.loads(text)[0]["holds"] is True


def test_only_those_that_say_why_are_not_measured() -> None:
    assert {each.id for each in claims.every().values() if each.answer is Answer.NOT_MEASURED} == UNMEASURED


def test_ids_are_unique_and_every_article_speaks() -> None:
    told = [each.id for subject in claims.subjects() for each in subject.claims]
    assert len(told) == len(set(told)) >= 50
    assert {article for each in claims.every().values() for article in each.articles} == {
        "A",
        "B",
        "C",
        "reports",
    }


def test_a_claim_that_does_not_hold_is_told() -> None:
    wrong = Claim.model_validate(
        {
            "id": "x",
            "articles": "A",
            "says": "All is well.",
            "observations": [
                {"claim": "a", "model": "semicolon-loss", "scenarios": "register", "expect": "works"},
                {"claim": "b", "model": "none", "scenarios": "register", "expect": "works", "changed": True},
                {
                    "claim": "c",
                    "model": "none",
                    "scenarios": "register",
                    "expect": "works",
                    "inside_addresses": [],
                },
            ],
            "vendors": [{"field": "default", "of": ["absent"], "at_least": 51}],
        }
    )
    measured = measuring.measure(wrong)
    assert not measured.holds
    assert [each.holds for each in measured.verdicts] == [False, False, False]
    assert [each.holds for each in measured.counts] == [False]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"depends": "the weather", "reason": "x"}, "goes with observations for and against"),
        ({}, "goes with a claim that nothing measures"),
        ({"reason": "x", "cases": "legacy-pbx"}, "goes with a claim that nothing measures"),
    ],
)
def test_a_claim_is_answered_once(wrong: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Claim.model_validate({"id": "x", "articles": "A", "says": "y", **wrong})


# -- inside addresses ------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", sorted(each.id for each in registry.scenarios()))
def test_a_correct_alg_lets_no_inside_address_out(scenario: str) -> None:
    """With a phone that does not write its address into Call-ID, which no ALG may change."""
    spec = TrialSpec(model=CORRECT.id, scenario=scenario, phone="libre")
    try:
        _, trace = trial.run(spec)
    except UsageError as error:
        pytest.skip(str(error))
    assert set(measuring.inside_addresses(trace, spec)) == UNTOUCHABLE.get(scenario, set())


# -- the command -----------------------------------------------------------------------------------


def test_the_command_finds_and_measures() -> None:
    status, text = run("dmz", "bypassed")
    assert status == 0
    assert "refuted" in text
    assert "siplab call --model semicolon-loss --scenario register --mitigation dmz" in text
    status, text = run("firewall", "--json")
    assert status == 0
    assert len(json.loads(text)) >= 2
    status, text = run("no-registration", "--json")
    (row,) = json.loads(text)
    assert row["answer"] == "confirmed"
    assert row["holds"] is True
    status, text = run()
    assert status == 0
    assert all(each in text for each in claims.every())


def test_an_unknown_word_is_said() -> None:
    result = CliRunner().invoke(cli.app, ["claims", "quantum"])
    assert isinstance(result.exception, UsageError)
