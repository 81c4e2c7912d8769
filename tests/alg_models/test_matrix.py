"""What every model breaks, held by a golden file."""

from __future__ import annotations

import json

import pytest

from siplab.alg_models import catalogue
from siplab.experiments.trial import registry
from tools import matrix

GOLDEN = matrix.golden()


@pytest.mark.parametrize("model", matrix.models())
def test_a_row_is_as_it_was(model: str) -> None:
    """A difference is either a mistake or news: if it is news, ``python -m tools.matrix --write``."""
    assert matrix.row(matrix.results(model)).splitlines() == GOLDEN.get(model, "").splitlines()


def test_there_is_a_row_for_each_model_and_no_other() -> None:
    assert list(GOLDEN) == matrix.models()


def test_what_the_package_ships_is_made_from_that() -> None:
    """If it is not: ``python -m tools.matrix --write``."""
    text = matrix.GOLDEN.read_text(encoding="utf-8")
    assert catalogue.BREAKS.read_text(encoding="utf-8") == matrix.breaks(text)
    known = {item.id for item in registry.scenarios()} | {"all"}
    for model in catalogue.load(plugins=False):
        assert {name.removeprefix("-") for name in model.card.breaks} <= known


def test_all_and_all_but_one_are_read_from_a_row() -> None:
    rows = (
        "correct\n    mirror  alg\n    combined  alg\n    all but outgoing-call registered\n"
        "semicolon-loss\n    mirror  alg: Via\n    combined  alg\n    all  registered\n"
        "semicolon-loss(x=1)\n    mirror  alg\n    combined  alg\n    hold  is held\n"
        "none\n    mirror  clean\n    combined  clean\n"
    )
    assert json.loads(matrix.breaks(rows)) == {
        "correct": ["all", "-outgoing-call"],
        "semicolon-loss": ["all"],
    }
