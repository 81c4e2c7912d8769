"""Texts that say how many things there are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from siplab.lab.counting import number_of
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("count", "word", "form", "said"),
    [
        (0, "trial", "", "0 trials"),
        (1, "trial", "", "1 trial"),
        (2, "trial", "", "2 trials"),
        (1, "more trial", "", "1 more trial"),
        (1234, "trial", ",", "1,234 trials"),
        (2, "batch", "", "2 batches"),
        (2, "address", "", "2 addresses"),
        (1, "address", "", "1 address"),
        (2, "remedy", "", "2 remedies"),
        (2, "day", "", "2 days"),
        (2, "hypothesis", "", "2 hypotheses"),
    ],
)
def test_one_and_many(count: int, word: str, form: str, said: str) -> None:
    assert number_of(count, word, form) == said


_PLURALS = re.compile(r"['\"](e?s|ies)['\"] if |\((e?s|ies)\)")


def test_nobody_makes_plurals_of_their_own() -> None:
    """One function makes plurals; ``{'s' if ...}`` or ``packet(s)`` elsewhere would copy it."""
    found = []
    for room in ("lab", "experiments", "alg_models", "topologies", "tools"):
        for path in sorted(Path(ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr) and _PLURALS.search(ast.unparse(node)):
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert found == []
