"""Thousands of trials: a kill costs what was under way, and memory does not grow with their number."""

from __future__ import annotations

from pathlib import Path

import pytest

from siplab.experiments.storage.places import Place
from siplab.experiments.storage.store import Store
from tools.scale import killed_and_gone_on_with

pytest.importorskip("pyarrow")


# The default suite kills and resumes a run of tens of trials, in test_sweep.py.
@pytest.mark.deep
@pytest.mark.parametrize(("trials", "jobs", "batch"), [(2_000, 1, 100), (10_000, 2, 500)])
def test_a_kill_costs_what_was_under_way(tmp_path: Path, trials: int, jobs: int, batch: int) -> None:
    told = killed_and_gone_on_with(tmp_path / "killed", trials, jobs, batch, say=lambda text: None)
    assert told["batches_at_kill"] >= trials / 3 / batch
    assert told["of_these_run_again"] == 0
    store = Store.opened(Place(str(tmp_path / "killed")))
    rows = list(store.rows("trials", ["trial"]))
    assert sorted(row["trial"] for row in rows) == list(range(1, trials + 1))
    if trials > 2_000:  # below that what is read and made once is most of it
        assert max(told["memory_last_by_first"].values()) < 1.1
