"""docs/scenarios.md, recomputed: every scenario works, or fails for a known reason."""

from __future__ import annotations

import random

import pytest

from siplab.experiments.trial import registry
from tools import scenario_table
from tools.scenario_table import PAGE, PART


@pytest.mark.deep
def test_the_page_is_up_to_date() -> None:
    """If it is not: ``python -m tools.scenario_table --write``."""
    page = PAGE.read_text(encoding="utf-8")
    assert PART.updated(page) == page
    used = {number for number in range(1, 100) if f"no ({number})" in page}
    assert used == set(range(1, len(scenario_table.REASONS) + 1)), "a reason that explains nothing"


def test_some_rows_of_the_page_are_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for scenario in random.Random(1).sample(list(scenario_table.played()), 6):
        assert f"\n{scenario_table.row(scenario)}\n" in page


def test_every_scenario_is_played_and_each_of_its_ways() -> None:
    played = list(scenario_table.played())
    assert len(set(played)) == len(played)
    assert {each.id for each in registry.scenarios()} <= set(played)
    assert {"hold(how=inactive)", "transfer(how=attended)", "two-phones(between=false)"} <= set(played)


def test_a_failure_that_nobody_can_explain_ends_the_command() -> None:
    with pytest.raises(SystemExit, match=r"without a known reason.*registered"):
        scenario_table.outcome("nat-symmetric", "semicolon-loss", "register", "strict-addresses")


def test_networks_that_differ_are_named() -> None:
    places = ["nat-symmetric", "nat-preserving", "nat-random-ports"]
    text = scenario_table.cell(places, "none", "register", "strict-addresses")
    assert text.endswith("; yes: `nat-preserving`")
