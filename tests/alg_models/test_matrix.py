"""What every model breaks, held by a golden file."""

from __future__ import annotations

import pytest

from tools import matrix

GOLDEN = matrix.golden()


@pytest.mark.parametrize("model", matrix.models())
def test_a_row_is_as_it_was(model: str) -> None:
    """A difference is either a mistake or news: if it is news, ``python -m tools.matrix --write``."""
    assert matrix.row(matrix.results(model)).splitlines() == GOLDEN.get(model, "").splitlines()


def test_there_is_a_row_for_each_model_and_no_other() -> None:
    assert list(GOLDEN) == matrix.models()
