"""docs/scoreboard.md: where a detector's answer depends on the endpoints."""

from __future__ import annotations

import random
import re

import pytest

from siplab.experiments.trial.pairs import DEFAULT, STRICT
from siplab.experiments.trial.spec import TrialSpec
from tools import score_endpoints, trials

ROWS = re.findall(
    r"^\| `(\S+)` \| `(\S+)` \| `(\S+)` \| `(\S+)` \|$",
    score_endpoints.PART.page.read_text(encoding="utf-8"),
    re.MULTILINE,
)


@pytest.mark.deep
def test_the_page_is_up_to_date() -> None:
    """If it is not: ``python -m tools.score_endpoints``."""
    page = score_endpoints.PART.page.read_text(encoding="utf-8")
    assert score_endpoints.PART.updated(page) == page


@pytest.mark.parametrize("row", random.Random(1).sample(ROWS, 2), ids=lambda each: each[0])
def test_the_endpoints_make_that_difference(row: tuple[str, str, str, str]) -> None:
    router, detector, *said = row
    spec = TrialSpec("home", router, detector=detector)
    assert [trials.result(spec.between(pair)).outcome for pair in (DEFAULT, STRICT)] == said
