"""The lab beside real software: a part of the cells is played with both, and all with the lab alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from siplab.experiments.programs import agreement
from siplab.experiments.programs.agreement import Cell
from siplab.lab.errors import UsageError
from tools import real_agreement

GOAL = 0.97
EVERY = 20  # one cell in so many: all of them take half an hour of a quiet machine
SAMPLE = 5  # the same of those that the lab plays alone


@pytest.mark.needs("emulated", "kamailio", "baresip", "rtpengine", "linphonec")
def test_real_software_does_what_it_did() -> None:
    """Side by side, since they mostly wait. One that differs is played again, and what comes twice counts."""
    known = dict(agreement.read(real_agreement.CELLS)[::EVERY])
    rows = agreement.play(list(known), jobs=8, expected=known.get)
    apart = [(row.cell, row.counts, known[row.cell]) for row in rows if row.real != known[row.cell]]
    assert apart == []


@pytest.mark.parametrize("every", [SAMPLE, pytest.param(1, marks=pytest.mark.deep)])
def test_the_lab_fails_as_real_software_did(every: int) -> None:
    found = real_agreement.rows(every)
    apart = [row for row in found if not row.agrees]
    assert len(apart) <= (1 - GOAL) * len(found), apart
    page = real_agreement.PAGE.read_text()
    assert {row.cell.model for row in apart} <= set(_explained(page))


def _explained(page: str) -> list[str]:
    """The models that the page gives a reason for."""
    reasons = page.partition("## Why the rest differs")[2]
    return [part.partition("`")[0] for part in reasons.split("- **`")[1:]]


@pytest.mark.deep
def test_the_page_has_the_cells() -> None:
    page = real_agreement.PAGE.read_text()
    assert real_agreement.PART.updated(page) == page, "run: python -m tools.real_agreement"


def test_what_was_seen_covers_what_it_has_to() -> None:
    cells = [cell for cell, _ in agreement.read(real_agreement.CELLS)]
    models = {cell.model for cell in cells if cell.phone == "baresip"}
    scenarios = {cell.scenario.partition("(")[0] for cell in cells}
    assert len(models) >= 30
    assert scenarios == {"register", "outgoing-call", "incoming-call", "hold", "transfer"}
    assert {cell.server for cell in cells} == {"kamailio", "kamailio(nat=true)"}
    assert len({cell.model for cell in cells if cell.phone != "baresip"}) >= 10


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    path = tmp_path / "cells.tsv"
    path.write_text("# a comment\nphone\tserver\n")
    with pytest.raises(UsageError, match="the first row must be"):
        agreement.read(path)
    path.write_text("\t".join(agreement.COLUMNS) + "\na\tb\n")
    with pytest.raises(UsageError, match="cell 1 has 2 columns, not 5"):
        agreement.read(path)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    rows = [agreement.Row(Cell("baresip", "kamailio(nat=true)", "none", "register"), "works", "works")]
    path = tmp_path / "cells.tsv"
    path.write_text(agreement.written(rows, ["baresip 1.0.0"]))
    assert agreement.read(path) == [(rows[0].cell, "works")]
