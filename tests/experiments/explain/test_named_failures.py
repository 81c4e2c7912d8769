"""The failures by which causes are judged: which of them the default endpoints do not have."""

from __future__ import annotations

from siplab.experiments.trial.pairs import DEFAULT
from tools import named_failures


def test_each_fails_with_its_own_endpoints_and_the_page_says_which_pass_with_the_default_ones() -> None:
    rows = named_failures.rows()
    assert [str(each.spec) for each in rows if not each.named] == []
    passing = [each.spec.model for each in rows if not each.default]
    text = named_failures.PAGE.read_text()
    assert named_failures.PART.updated(text) == text
    part = named_failures.table(rows)
    assert f"{len(passing)} of {len(rows)} no longer fail" in part
    assert all(f"`{each}`" in part for each in passing)
    assert str(DEFAULT) in part
