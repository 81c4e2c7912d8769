"""Files that mean no good, or that a mistake made large: one line, status 2, nothing for a terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from siplab.experiments.trial.spec import MOST_TRIALS, TrialSpec
from tests.command import one_line_error, siplab
from tests.conftest import ROOT

SMALL = "id: small\nmodels: [semicolon-loss]\nscenarios: [register]\nworld: simulated\n"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("repeat: 10000\nmitigations: [" + "[], " * 1000 + "]\n", ["10,000,000 trials", f"{MOST_TRIALS:,}"]),
        ("phones: [" + "a, " * 4000 + "]\nservers: [" + "b, " * 4000 + "]\n", ["16,000,000 trials"]),
        ("seed: " + "1" * 5000, [":5:", "digits"]),
        ("seed: .inf\n", [":5:", "finite"]),
        ("seed: 1\nseed: 2\n", [":6:", "'seed' stands in line 5"]),
        ("repeat: " + "[" * 5000, [":"]),
        ("topology: " + "x" * 5000 + "\n", ["topology"]),
        ("model_paths: [" + "x" * 5000 + "]\n", ["x" * 100]),
        ('model_paths: ["a\\0b"]\n', ["a\\x00b"]),
        ('topology: "a\\e[31m\\u202eb/c"\n', ["a\\x1b[31m\\u202eb"]),
        ("phones: [" + "x" * 5000 + "]\n", ["phone"]),
    ],
)  # fmt: skip
def test_experiments_that_are_refused(tmp_path: Path, more: str, words: list[str]) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(SMALL + more)
    one_line_error(siplab("run", str(file)), *words)


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "x" * 5000),
        ("run", "x" * 5000 + ".yaml"),
        ("explain", "x" * 5000),
        ("case", "x" * 5000 + ".yaml"),
        ("vendors", "show", "x" * 5000 + ".yaml"),
        ("topologies", "show", "x" * 5000 + "/y"),
        ("call", "--model", "x" * 5000, "--scenario", "register"),
        ("call", "--model", "none", "--scenario", "register", "--model-path", "x" * 5000),
        ("call", "--model", "none", "--scenario", "register", "--out", "x" * 5000),
        ("call", "--model", "port-overflow(offset=" + "9" * 5000 + ")", "--scenario", "register"),
        ("run", "quickstart", "--world", "simulated", "--json", "x" * 5000),
        ("score", "--detector", "mirror", "--baseline", "x" * 5000),
        ("score", "--repeat", "10000"),
        ("run", "quickstart", "--jobs", "999999"),
        ("detect", "serve", "--port", "9" * 5000),
    ],
)
def test_arguments_that_are_refused(arguments: tuple[str, ...]) -> None:
    done = siplab(*arguments)
    one_line_error(done)
    assert len(done.stderr) < 6000


def test_escapes_in_an_experiment_reach_no_terminal(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(SMALL.replace("id: small", 'id: "a\\e[31m\\u202eb"\nsummary: "s\\e]0;title\\a"'))
    done = siplab("run", str(file))
    assert done.returncode == 0, done.stderr
    assert "a\\x1b[31m\\u202eb" in done.stderr
    for text in (done.stdout, done.stderr):
        assert not set(text) & set("\x1b\x07\u202e")


def test_a_long_name_still_has_its_files(tmp_path: Path) -> None:
    spec = TrialSpec("t" * 300, "m" * 300, "s" * 300, mitigations=("x" * 50,))
    other = TrialSpec("t" * 300, "m" * 300, "s" * 300, mitigations=("y" * 50,))
    assert len(spec.stem) < 200
    assert spec.stem != other.stem
    file = tmp_path / f"{'n' * 190}.yaml"
    file.write_text((ROOT / "topologies" / "home.yaml").read_text())
    model = "semicolon-loss+port-overflow(offset=4)+call-id-rewrite+via-rport-stripped+contact-params-lost"
    out = tmp_path / "out"
    done = siplab(
        *("call", "--model", model, "--scenario", "register", "--world", "simulated"),
        *("--topology", str(file), "--out", str(out)),
    )
    assert done.returncode == 0, done.stderr
    assert len(list(out.glob("*.pcapng"))) == 3  # of all taps, and of each side


# -- explain ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    (folder / "x.yaml").write_text(SMALL)
    done = siplab("run", str(folder / "x.yaml"), "--out", str(folder / "out"), "--traces", "all")
    assert done.returncode == 0, done.stderr
    return folder / "out"


@pytest.mark.parametrize(
    "content",
    [
        "", "[]", "{}", "null", "1", '{"trials": 3}', '{"trials": [3]}', '{"trials": [{}]}', "[" * 5000,
        '{"trials": [{"topology": [], "model": "none", "seed": 1}]}',
        '{"trials": [{"topology": "home", "model": "none", "seed": 1, "mitigations": 5}]}',
        '{"trials": [{"topology": "home", "model": "none", "seed": 1, "checks": [5]}]}',
        '{"trials": [{"topology": "home", "model": "none", "seed": 1, "checks": [{"name": "a"}]}]}',
        '{"trials": [{"topology": "home", "model": "none", "seed": 1, "explanation": {"a": 1}}]}',
        '{"trials": [], "trials": []}', '{"trials": [Infinity]}',
    ],
)  # fmt: skip
def test_explain_of_what_is_no_run(tmp_path: Path, content: str) -> None:
    (tmp_path / "results.json").write_text(content)
    one_line_error(siplab("explain", str(tmp_path)), str(tmp_path))


def test_explain_of_folders_that_hold_no_run(tmp_path: Path) -> None:
    one_line_error(siplab("explain", str(tmp_path)), "no results.json")
    one_line_error(siplab("explain", str(tmp_path / "nowhere")), "no such file")
    (tmp_path / "results.json").mkdir()
    one_line_error(siplab("explain", str(tmp_path)), "results.json")
    one_line_error(siplab("explain", "/dev/null"), "/dev/null")


def changed(data: object, way: list[int], new: object) -> object:
    """The data with one value in it replaced: at each step the way says which."""
    if not way or not isinstance(data, dict | list) or not data:
        return new
    keys = list(data) if isinstance(data, dict) else list(range(len(data)))
    key = keys[way[0] % len(keys)]
    copy = dict(data) if isinstance(data, dict) else dict(enumerate(data))
    copy[key] = changed(copy[key], way[1:], new)
    return copy if isinstance(data, dict) else list(copy.values())


ODD: Any = st.sampled_from(
    [None, True, 0, -1, 2**70, 1e300, "", "x", "\x1b[31m", "192.0.2.1:0", [], {}, [[]], {"": 0}]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(way=st.lists(st.integers(0, 50), min_size=1, max_size=6), new=ODD, in_trace=st.booleans())
def test_explain_of_damaged_runs(
    stored: Path, tmp_path: Path, way: list[int], new: object, in_trace: bool
) -> None:
    """Whatever stands in one place of a stored run: it is explained, or refused in one line."""
    (trace,) = stored.glob("*.trace.jsonl")
    data = json.loads((stored / "results.json").read_text())
    rows = [json.loads(line) for line in trace.read_text().splitlines()]
    if in_trace:
        rows = changed(rows, way, new)  # type: ignore[assignment]
    else:
        data = changed(data, way, new)
    (tmp_path / "results.json").write_text(json.dumps(data))
    text = "".join(json.dumps(row) + "\n" for row in rows) if isinstance(rows, list) else "x"
    (tmp_path / trace.name).write_text(text)
    if isinstance(data, dict) and isinstance(data.get("trials"), list):
        for row in data["trials"]:
            if isinstance(row, dict):
                row.pop("explanation", None)
        (tmp_path / "results.json").write_text(json.dumps(data))
    done = siplab("explain", str(tmp_path))
    assert "\x1b" not in done.stdout + done.stderr
    if done.returncode:
        one_line_error(done)
