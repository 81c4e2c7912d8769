"""``siplab matrix`` and ``siplab compare``: what works, what nobody knows, what differs between two runs."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from siplab.experiments.output import compatibility_forms
from siplab.experiments.tables import flat
from siplab.lab.errors import UsageError
from tests.command import one_line_error, siplab

ROUTERS = ("--models", "semicolon-loss", "--vendors", "asus,avm-fritzbox")
TRIALS = ("--scenario", "register", "--mitigation", "non-standard-port,bridge-mode", "--world", "simulated")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("matrix")
    written = (
        "--json",
        str(place / "m.json"),
        "--csv",
        str(place / "m.csv"),
        "--html",
        str(place / "m.html"),
    )
    done = siplab("matrix", *ROUTERS, *TRIALS, *written)
    assert done.returncode == 0, done.stderr
    (place / "printed").write_text(done.stdout)
    return place


@pytest.fixture
def table(folder: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((folder / "m.json").read_text())
    return data


def cells(table: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(each["key"]["subject"], each["key"]["remedy"]): each for each in table["cells"]}


def test_a_cell_says_what_works_and_what_nobody_knows(folder: Path, table: dict[str, Any]) -> None:
    found = cells(table)
    assert found["none", ""]["status"] == "works"
    assert found["semicolon-loss", ""]["status"] == "fails"
    assert found["semicolon-loss", ""]["symptom"]
    assert found["semicolon-loss", "non-standard-port"]["status"] == "works"
    for remedy in table["remedies"]:  # never green nor red, whatever is done about it
        assert found["avm-fritzbox", remedy]["status"] == "unknown"
        assert found["avm-fritzbox", remedy]["trials"] == 0
    assert found["semicolon-loss", "bridge-mode"]["status"] == "impossible"
    assert "home" in found["semicolon-loss", "bridge-mode"]["why"]
    printed = (folder / "printed").read_text()
    assert "nobody knows" in printed
    assert "inference" in printed


def test_csv_has_a_line_per_cell(folder: Path, table: dict[str, Any]) -> None:
    with (folder / "m.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(table["cells"])
    assert {row["subject"]: row["evidence"] for row in rows}["asus"] == "inference"


def test_several_seeds_are_counted_in_one_cell(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    trials = ("--scenario", "register", "--repeat", "3", "--world", "simulated", "--json", str(path))
    done = siplab("matrix", "--models", "semicolon-loss", *trials)
    assert done.returncode == 0, done.stderr
    found = cells(json.loads(path.read_text()))
    assert (found["none", ""]["working"], found["none", ""]["trials"]) == (3, 3)
    assert "registered 0/3 (0..56 %)" in done.stdout
    assert (found["none", ""]["low"], found["none", ""]["high"]) == (pytest.approx(0.4385, abs=1e-4), 1.0)


def test_two_runs_are_compared(folder: Path, tmp_path: Path, table: dict[str, Any]) -> None:
    old, new, page = folder / "m.json", tmp_path / "new.json", tmp_path / "c.html"
    done = siplab("compare", str(old), str(old))
    assert (done.returncode, done.stdout.strip()) == (0, "No cell differs.")
    worse = cells(table)["asus", ""]
    worse |= {"status": "fails", "check": "registered", "working": 0}
    cells(table)["avm-fritzbox", ""]["status"] = "works"  # somebody found out: that is neither
    new.write_text(json.dumps(table))
    done = siplab("compare", str(old), str(new), "--html", str(page))
    assert done.returncode == 1
    assert "2 cells not as before, 1 worse" in done.stdout
    assert page.exists()


def test_two_runs_without_a_cell_in_common_are_not_said_to_agree(
    tmp_path: Path, table: dict[str, Any]
) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps(table))
    for each in table["cells"]:
        each["key"]["server"] = "plain"
    new.write_text(json.dumps(table))
    one_line_error(siplab("compare", str(old), str(new)), "old.json", "new.json", "no cell in common")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", ["no table"]),
        ('{"version": 1}', ["siplab matrix --json", "Field required"]),
        ('{"format": "siplab-score", "version": 1}', ["siplab score --json", "field 'detectors'"]),
        ("[]", ["no table", "object"]),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    one_line_error(siplab("compare", str(path), str(path)), "x.json", *words)


@pytest.mark.parametrize(
    "arguments",
    [("--topology", "qqqq"), ("--phone", "qqqq"), ("--vendors", "qqqq"), ("--mitigation", "qqqq")],
)
def test_unknown_names_are_refused(arguments: tuple[str, str]) -> None:
    one_line_error(siplab("matrix", *arguments, "--scenario", "register", "--world", "simulated"), "qqqq")


def test_a_paper_takes_it_as_it_is(tmp_path: Path) -> None:
    names = {form: str(tmp_path / f"m.{form}") for form in ("csv", "markdown", "latex", "cells", "json")}
    written = [word for form, path in names.items() for word in (f"--{form}", path)]
    routers = ("--models", "semicolon-loss", "--vendors", "avm-fritzbox", "--hypotheses")
    trials = ("--scenario", "register", "--repeat", "2", "--vary", "--world", "simulated")
    done = siplab("matrix", *routers, *trials, *written)
    assert done.returncode == 0, done.stderr
    data = json.loads((tmp_path / "m.json").read_text())
    assert {each["evidence"] for each in data["subjects"] if each["kind"] == "vendor"} == {
        "none",
        "hypothesis",
    }
    with (tmp_path / "m.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    rows = flat.read(tmp_path / "m.cells")
    assert [row["symptom"] for row in rows] == [line["symptom"] for line in lines]
    (bad,) = [row for row in rows if row["subject"] == "semicolon-loss"]
    assert (bad["working"], bad["trials"], bad["share"], bad["class"]) == (0, 2, 0.0, "rewriting")
    assert bad["symptom"]
    (unknown,) = [row for row in rows if row["status"] == "unknown"]
    assert (unknown["share"], unknown["low"], unknown["vendor"]) == (None, None, "avm-fritzbox")
    latex = (tmp_path / "m.latex").read_text()
    assert r"semicolon-loss & registered 0/2 (0--66 \%) & seed \\" in latex
    assert "| semicolon-loss | registered 0/2 (0..66 %) | seed |" in (tmp_path / "m.markdown").read_text()


@pytest.mark.parametrize(
    ("by", "group"), [("class", "rewriting"), ("vendor", "asus"), ("evidence", "control")]
)
def test_routers_are_summed_up_by_what_they_have_in_common(tmp_path: Path, by: str, group: str) -> None:
    path = tmp_path / "m.csv"
    done = siplab("matrix", *ROUTERS, "--scenario", "register", "--by", by, "--csv", str(path))
    assert done.returncode == 0, done.stderr
    with path.open(newline="") as file:
        rows = {row[by]: row for row in csv.DictReader(file)}
    assert group in rows
    assert group in done.stdout
    assert sum(int(row["trials"]) for row in rows.values()) == 3  # the unknown one was not run
    works = {"rewriting": "0", "asus": "1", "control": "1"}
    assert (rows[group]["working"], rows[group]["trials"]) == (works[group], "1")


def test_text_for_papers_is_escaped() -> None:
    assert compatibility_forms._latex("a_b & 50 % of \\x {1..2}") == (
        r"a\_b \& 50 \% of \textbackslash{}x \{1--2\}"
    )
    assert compatibility_forms._markdown("a|b\nc*d") == r"a\|b c\*d"


def test_without_the_library_parquet_says_so_before_anything_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"Parquet needs pyarrow \(.*\): pip install 'siplab\[data\]'"):
        flat.need()
    with pytest.raises(UsageError, match="pyarrow"):
        flat.read(tmp_path / "x.parquet")


def test_what_is_no_parquet_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_text("no")
    for name in ("x.parquet", "missing.parquet"):
        with pytest.raises(UsageError, match=name):
            flat.read(tmp_path / name)
