"""Detectors over time: the history, its page, and two runs compared."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from siplab.experiments.score import history
from siplab.experiments.tables import flat
from tests.command import one_line_error, siplab

ROOT = Path(__file__).parents[3]
SCORE = ("score", "--detector", "mirror", "--models", "correct,semicolon-loss", "--world", "simulated")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of one detector."""
    place = tmp_path_factory.mktemp("history")
    for label in ("first", "<second>"):
        kept = ("--history", str(place / "h.parquet"), "--label", label, "--trend", str(place / "h.html"))
        done = siplab(*SCORE, *kept, "--json", str(place / "score.json"))
        assert done.returncode == 0, done.stderr
    return place


def test_a_run_is_a_row_for_each_detector(folder: Path) -> None:
    rows = flat.read(folder / "h.parquet")
    assert [(row["run"], row["label"], row["detector"]) for row in rows] == [
        (1, "first", "mirror"),
        (2, "<second>", "mirror"),
    ]
    stored = json.loads((folder / "score.json").read_text())["detectors"][0]
    assert rows[1]["score"] == pytest.approx(stored["score"], abs=1e-4)
    assert (rows[1]["caught"], rows[1]["in_reach"]) == (
        stored["detection"]["count"],
        stored["detection"]["of"],
    )
    assert tuple(rows[0]) == history.COLUMNS


def test_the_page_shows_every_run_and_runs_nothing(folder: Path) -> None:
    text = (folder / "h.html").read_text()
    assert text.count("<circle") == 2
    assert "&lt;second&gt;" in text
    assert "<second>" not in text
    tags: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            tags.append(tag)

    Reader().feed(text)
    assert "script" not in tags


def test_what_is_no_history_is_refused_before_anything_is_run(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    flat.write(path, [{"a": 1}])
    one_line_error(siplab(*SCORE, "--history", str(path)), "x.parquet", "no history")
    one_line_error(siplab(*SCORE, "--trend", str(tmp_path / "x.html")), "--history")
    assert flat.read(path) == [{"a": 1}]


def changed(folder: Path, change: Callable[[str, str], str]) -> Path:
    data = json.loads((folder / "score.json").read_text())
    for row in data["detectors"][0]["rows"]:
        row["outcome"] = change(row["id"], row["outcome"])
    path = folder / "changed.json"
    path.write_text(json.dumps(data))
    return path


def test_two_scoreboards_are_compared(folder: Path, tmp_path: Path) -> None:
    old, comment = folder / "score.json", tmp_path / "difference.md"
    done = siplab("compare", str(old), str(old), "--markdown", str(comment))
    assert (done.returncode, done.stdout.strip()) == (0, "No cell differs.")
    assert comment.read_text() == "**siplab**: No cell differs.\n\n"
    worse = changed(folder, lambda router, was: "missed" if router == "correct" else was)
    done = siplab("compare", str(old), str(worse), "--markdown", str(comment))
    assert done.returncode == 1
    assert "1 cell not as before, 1 worse" in done.stdout
    assert "| worse | mirror | correct | caught | missed |" in comment.read_text()
    assert siplab("compare", str(worse), str(old)).returncode == 0  # better


def test_a_scoreboard_is_not_compared_with_a_matrix(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "m.json"
    siplab(
        "matrix",
        "--models",
        "correct",
        "--scenario",
        "register",
        "--world",
        "simulated",
        "--json",
        str(table),
    )
    one_line_error(siplab("compare", str(folder / "score.json"), str(table)), "matrix", "score")
    one_line_error(
        siplab("compare", *[str(folder / "score.json")] * 2, "--html", str(tmp_path / "x.html")), "--html"
    )
    broken = tmp_path / "b.json"
    broken.write_text('{"format": "siplab-score", "version": 1, "detectors": [{"id": 1}]}')
    one_line_error(siplab("compare", str(broken), str(broken)), "b.json", "detectors.0.id")


# -- the jobs that comment -----------------------------------------------------------------------------


def github() -> list[str]:
    job = yaml.safe_load((ROOT / "docs" / "ci" / "github.yml").read_text())["jobs"]["difference"]
    return [step["run"] for step in job["steps"] if "run" in step]


def gitlab() -> list[str]:
    job = yaml.safe_load((ROOT / "docs" / "ci" / "gitlab.yml").read_text())["alg-difference"]
    return [*job["before_script"], *job["script"], *job["after_script"]]


@pytest.mark.parametrize("lines", [github(), gitlab()], ids=["github", "gitlab"])
def test_the_lines_of_a_job_comment_what_differs(lines: list[str], folder: Path, tmp_path: Path) -> None:
    """All but pip runs as it stands; git has a repository, and who takes the comment is a stand-in."""
    place = tmp_path / "work"
    place.mkdir()
    shutil.copy(ROOT / "experiments" / "detectors" / "wrong" / "always_clean.py", place / "detect.py")
    text = (place / "detect.py").read_text()
    (place / "detect.py").write_text(text.replace('"always-clean"', '"mine"'))
    old = json.loads((folder / "score.json").read_text())
    old["detectors"][0]["id"] = "mine"
    (place / "score.json").write_text(json.dumps(old))
    git = "git -c user.name=x -c user.email=x@example.org"
    set_up = f"git init -q -b main . && git add . && {git} commit -qm x && git remote add origin ."
    subprocess.run(set_up, shell=True, cwd=place, check=True)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("pip", "gh", "curl"):
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {shlex.quote(str(tmp_path / "log"))}\n')
        (programs / name).chmod(0o755)
    (programs / "siplab").symlink_to(ROOT / ".venv" / "bin" / "siplab")
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "GITHUB_BASE_REF": "main",
        "REQUEST": "7",
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
        "CI_MERGE_REQUEST_IID": "7",
        "CI_PROJECT_ID": "1",
        "CI_API_V4_URL": "https://gitlab.example.org/api/v4",
        "COMMENT_TOKEN": "x",
    }
    statuses = [
        subprocess.run(line, shell=True, cwd=place, env=environment, check=False).returncode for line in lines
    ]
    assert statuses == [1 if "compare" in line else 0 for line in lines]  # it is worse, and says so
    assert "| worse | mine | correct | caught | missed |" in (place / "difference.md").read_text()
    assert "difference.md" in (tmp_path / "log").read_text().splitlines()[-1]
