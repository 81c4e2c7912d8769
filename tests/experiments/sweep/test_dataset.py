"""The dataset that is published: the same each time, and all of it explained."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest
import yaml

from siplab.experiments.storage.places import Place
from siplab.experiments.storage.store import Store
from siplab.experiments.tables import TABLES
from tools import dataset

pytest.importorskip("pyarrow")
EVERY = 1_000_000  # one setting, with all models


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    dataset.build(folder, EVERY, jobs=1, say=lambda text: None)
    return folder


def test_two_runs_have_equal_digests_and_equal_files(built: Path, tmp_path: Path) -> None:
    dataset.build(tmp_path, EVERY, jobs=1, say=lambda text: None)
    for name in ("digest.txt", "trials.csv.gz", "left-out.csv", "dictionary.md", "README.md"):
        assert (built / name).read_bytes() == (tmp_path / name).read_bytes(), name


def test_the_csv_is_the_table_of_trials(built: Path) -> None:
    with gzip.open(built / "trials.csv.gz", "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    stored = sorted(Store.opened(Place(str(built / "tables"))).rows("trials"), key=lambda row: row["trial"])
    assert [row["digest"] for row in rows] == [row["digest"] for row in stored]
    assert list(rows[0]) == [each.name for each in TABLES["trials"]]
    assert {row["seed"] for row in rows} == {"1"}


def test_every_column_is_in_the_dictionary(built: Path) -> None:
    text = (built / "dictionary.md").read_text()
    for name, columns in TABLES.items():
        part = text.partition(f"## {name}\n")[2].partition("\n## ")[0]
        assert [line.split("`")[1] for line in part.splitlines() if line.startswith("| `")] == [
            each.name for each in columns
        ]


def test_it_says_its_licence_and_how_it_is_cited(built: Path) -> None:
    assert "CC0-1.0" in (built / "LICENSE").read_text()
    cited = yaml.safe_load((built / "CITATION.cff").read_text())
    assert (cited["type"], cited["license"]) == ("dataset", "CC0-1.0")


def test_vendors_that_nobody_knows_are_left_out_with_the_reason(built: Path) -> None:
    rows = list(csv.reader((built / "left-out.csv").read_text().splitlines()))
    assert any("nobody has documented" in row[3] for row in rows[1:])
    assert all(row[3] for row in rows)
