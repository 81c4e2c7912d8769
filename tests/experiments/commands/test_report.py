"""``--report`` and ``siplab report``: pages from the command line; ``test_page.py`` looks into them."""

from __future__ import annotations

import base64
import gzip
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from tests.command import one_line_error, siplab

SMALL = "id: small\nmodels: [none, semicolon-loss]\nscenarios: [register]\ndetectors: [mirror]\n"


def blocks(path: Path) -> dict[str, Any]:
    """The data in a page, by the ids of its blocks."""
    found = re.findall(r'<script type="text/plain" id="([\w-]+)">([^<]*)</script>', path.read_text())
    return {name: json.loads(gzip.decompress(base64.b64decode(packed))) for name, packed in found}


def test_a_call_with_the_remedies_that_are_named(tmp_path: Path) -> None:
    page = tmp_path / "call.html"
    done = siplab(
        *("call", "--model", "semicolon-loss", "--scenario", "register", "--world", "simulated", "--brief"),
        *("--report", str(page), "--compare", "rport,non-standard-port"),
    )
    assert done.returncode == 0, done.stderr
    (trial,) = (data for name, data in blocks(page).items() if name != "book")
    assert [each["name"] for each in trial["variants"][1:]] == ["ALG off", "rport", "non-standard-port"]


def test_a_run_and_the_same_run_from_its_folder(tmp_path: Path) -> None:
    file, out, page = tmp_path / "small.yaml", tmp_path / "out", tmp_path / "run.html"
    file.write_text(SMALL)
    done = siplab("run", str(file), "--world", "simulated", "--out", str(out), "--report", str(page))
    assert done.returncode == 0, done.stderr
    done = siplab("report", str(out))
    assert done.returncode == 0, done.stderr
    direct, stored = blocks(page), blocks(out / "report.html")
    assert direct.pop("book")["entries"] == stored.pop("book")["entries"]
    assert direct == stored
    (trial,) = direct.values()
    assert trial["model"] == "semicolon-loss"


def test_a_run_with_a_model_of_ones_own_is_told_with_its_file(tmp_path: Path) -> None:
    text = resources.files("siplab.experiments.sandbox").joinpath("own_model.txt").read_text()
    file, out, model = tmp_path / "small.yaml", tmp_path / "out", tmp_path / "mine.py"
    model.write_text(text)
    file.write_text("id: small\nmodels: [my-model]\nscenarios: [register]\n")
    own = ("--model-path", str(model))
    done = siplab("run", str(file), "--world", "simulated", "--out", str(out), "--traces", "none", *own)
    assert done.returncode == 0, done.stderr
    for options, documents, words in ((own, 1, ""), ((), 0, "unknown model 'my-model'")):
        done = siplab("report", str(out), *options)
        assert done.returncode == 0, done.stderr
        found = blocks(out / "report.html")
        (entry,) = found["book"]["entries"]
        assert len(found) == 1 + documents
        assert words in entry["why"]


def test_scores_show_where_a_detector_was_wrong(tmp_path: Path) -> None:
    page = tmp_path / "score.html"
    options = ("--detector", "port-compare", "--models", "semicolon-loss,none", "--world", "simulated")
    done = siplab("score", *options, "--report", str(page))
    assert done.returncode == 0, done.stderr
    book = blocks(page)["book"]
    assert any(each["doc"] for each in book["entries"]) or all(not each["failed"] for each in book["entries"])


def test_a_case_has_a_trial_for_each_step(tmp_path: Path) -> None:
    page = tmp_path / "case.html"
    done = siplab("case", "hosted-voip", "--world", "simulated", "--report", str(page))
    assert done.returncode == 0, done.stderr
    titles = [each["title"] for each in blocks(page)["book"]["entries"]]
    assert titles
    assert all(title.startswith(f"Step {number}: ") for number, title in enumerate(titles, 1))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": "x"}, ["trial 1", "seed"]),
        ({"media": [{"who": 1}]}, ["trial 1", "media"]),
        ({"topology": "../../etc/passwd"}, ["passwd"]),
    ],
)
def test_results_that_are_none_are_refused_in_one_line(
    tmp_path: Path, change: dict[str, Any], words: list[str]
) -> None:
    row = {"topology": "home", "model": "none", "seed": 1, "scenario": "register", "world": "simulated"}
    row |= {"outcome": "fail", "errors": [], "duration": 1.0, "packets_changed": 0}
    row["checks"] = [{"name": "x", "passed": False, "symptom": "y", "detail": "", "about": "media"}]
    (tmp_path / "results.json").write_text(json.dumps({"trials": [{**row, **change}]}))
    if "topology" in change:  # the trial is named, and why it can't be shown
        done = siplab("report", str(tmp_path))
        assert done.returncode == 0, done.stderr
        (entry,) = blocks(tmp_path / "report.html")["book"]["entries"]
        assert words[0] in entry["why"]
    else:
        one_line_error(siplab("report", str(tmp_path)), *words)


def test_a_page_that_cannot_be_written_is_said_before_the_trial(tmp_path: Path) -> None:
    place = tmp_path / "no" / "such.html"
    arguments = ("call", "--model", "none", "--scenario", "register", "--world", "simulated")
    one_line_error(siplab(*arguments, "--report", str(place)), "such.html")
