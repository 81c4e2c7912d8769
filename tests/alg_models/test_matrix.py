"""What every model breaks, compared with a golden file."""

from __future__ import annotations

import json

import pytest

from siplab.alg_models import catalogue
from siplab.experiments.trial import registry
from siplab.experiments.trial.pairs import DEFAULT, STRICT
from tests import grid
from tools import matrix, trials

GOLDEN = matrix.golden()
MODELS = matrix.models()


@pytest.mark.parametrize("share", [grid.SHARE, pytest.param(None, marks=pytest.mark.deep)])
@pytest.mark.parametrize("model", MODELS)
def test_a_row_is_as_it_was(model: str, share: int | None) -> None:
    """A difference is a mistake or intended. If it is intended: ``python -m tools.matrix --write``."""
    row = matrix.blocks(GOLDEN.get(model, ""))
    specs = grid.some(grid.specs(model), share)
    seen = matrix.seen([trials.result(spec) for spec in specs if spec.detector in matrix.DETECTORS])
    played = {spec.played: matrix.outcome(trials.result(spec)) for spec in specs if spec.scenario}
    assert seen == {name: row[""].get(name) for name in seen}
    assert played == matrix.outcomes(row[str(DEFAULT)], played)


@pytest.mark.parametrize("model", grid.part(MODELS, 3))
def test_the_strict_endpoints_fail_as_they_did(model: str) -> None:
    """As above, with the strict endpoints, the lab's first ones."""
    row = matrix.blocks(GOLDEN.get(model, ""))
    assert matrix.failing([grid.outcome(spec) for spec in matrix.specs(model, STRICT)]) == row[str(STRICT)]


def test_what_is_written_in_short_is_each_cell() -> None:
    names = ("register", "hold", "rtcp")
    assert matrix.outcomes({}, names) == dict.fromkeys(names, "pass")
    held = matrix.outcomes({"hold": "is held"}, names)
    assert held == {"register": "pass", "hold": "is held", "rtcp": "pass"}
    assert matrix.outcomes({"all": "registered"}, names) == dict.fromkeys(names, "registered")
    but = matrix.outcomes({"all but hold": "registered"}, names)
    assert but == {"register": "registered", "hold": "pass", "rtcp": "registered"}


def test_there_is_a_row_for_each_model_and_no_other() -> None:
    assert list(GOLDEN) == MODELS


@pytest.mark.parametrize("model", MODELS)
def test_a_row_is_written_as_it_is_read(model: str) -> None:
    row = matrix.blocks(GOLDEN[model])
    assert matrix.row(model, row[""], {pair: row[str(pair)] for pair in matrix.PAIRS}) == GOLDEN[model]


def test_what_the_package_ships_is_made_from_that() -> None:
    """If it fails: ``python -m tools.matrix --write``."""
    text = matrix.GOLDEN.read_text(encoding="utf-8")
    assert catalogue.BREAKS.read_text(encoding="utf-8") == matrix.breaks(text)
    known = {item.id for item in registry.scenarios()} | {"all"}
    for model in catalogue.load(plugins=False):
        assert {name.removeprefix("-") for each in model.card.sufferers for name in each.breaks} <= known
        for first in model.card.sufferers[:1]:
            assert (first.phone, first.server) == (DEFAULT.phone, DEFAULT.server)
            assert first.breaks == model.card.breaks


def test_what_fails_without_an_alg_is_not_the_models_doing() -> None:
    rows = (
        "none\n    mirror  clean\n    combined  clean\n"
        "  desk + proxy-detect\n    hold  is held\n    rtcp  caller hears\n"
        "  plain + rport-aware\n    nothing fails\n"
        "  seen: baresip 1.0.0 + Kamailio 5.6.3\n    register  works\n    incoming-call  rings\n"
        "correct\n    mirror  alg\n    combined  alg\n"
        "  desk + proxy-detect and plain + rport-aware\n    all but outgoing-call registered\n"
        "semicolon-loss\n    mirror  alg: Via\n    combined  alg\n"
        "  desk + proxy-detect\n    hold  is held\n    rtcp  callee hears\n    fax  hangs up\n"
        "  plain + rport-aware\n    all  registered\n"
        "  seen: baresip 1.0.0 + Kamailio 5.6.3\n    register  registered\n    incoming-call  rings\n"
        "semicolon-loss(x=1)\n    mirror  alg\n    combined  alg\n  plain + rport-aware\n    hold  is held\n"
    )
    desk, plain = ({"phone": pair.phone, "server": pair.server} for pair in matrix.PAIRS)
    baresip = {"phone": "baresip 1.0.0", "server": "Kamailio 5.6.3"}
    assert json.loads(matrix.breaks(rows)) == {
        "correct": [{**each, "breaks": ["all", "-outgoing-call"]} for each in (desk, plain)],
        "semicolon-loss": [
            {**desk, "breaks": ["rtcp", "fax"]},
            {**plain, "breaks": ["all"]},
            {**baresip, "breaks": ["register"], "seen": True, "tried": ["register", "incoming-call"]},
        ],
    }
