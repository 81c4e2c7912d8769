"""What every model breaks, held by a golden file."""

from __future__ import annotations

from tools.matrix import GOLDEN, matrix


def test_the_matrix_is_as_it_was() -> None:
    """A difference is either a mistake or news: if it is news, ``python -m tools.matrix --write``."""
    assert matrix().splitlines() == GOLDEN.read_text(encoding="utf-8").splitlines()
