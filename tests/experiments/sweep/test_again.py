"""Stored results run again: what is told apart from what, and what is not run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from siplab.experiments.storage.parquet import decoded, encoded
from siplab.experiments.storage.places import Place
from siplab.experiments.storage.store import Store
from siplab.experiments.sweep import again
from siplab.experiments.sweep.sweep import manifest_of, sweep
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from tests.command import siplab
from tests.conftest import ROOT

pytest.importorskip("pyarrow")

SPECS = [
    TrialSpec(model=model, scenario=scenario, detector=detector, seed=seed, mitigations=mitigations)
    for model in ("none", "semicolon-loss", "mikrotik")
    for scenario, detector in (("register", ""), ("", "mirror"))
    for seed in (1, 2)
    for mitigations in ((), ("alg-off",))
]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    sweep(SPECS, Place(str(folder)), manifest_of("again", "simulated", SPECS, 10))
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "copy"))


def told(folder: Path, **changes: object) -> None:
    """Change what is said of the inputs then."""
    path = folder / "experiment.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def inputs(folder: Path, kind: str, name: str) -> dict[str, dict[str, str]]:
    before: dict[str, dict[str, str]] = json.loads((folder / "experiment.json").read_text())["inputs"]
    before[kind][name] = "0" * 32
    return before


def came_out_otherwise(folder: Path, number: int) -> None:
    """Let a store say of a trial that something else came out."""
    for path in (folder / "trials").iterdir():
        rows = decoded(path.read_bytes())
        for row in rows:
            row["digest"] = "f" * 32 if row["trial"] == number else row["digest"]
        path.write_bytes(encoded("trials", rows))


def test_nothing_is_run_where_nothing_changed(folder: Path) -> None:
    found = again.outlook(Store.opened(Place(str(folder))))
    assert (found.changed, found.affected, found.gone, found.engine_changed) == ((), (), (), False)
    assert len(found.others) == len(SPECS)


@pytest.mark.parametrize(
    ("kind", "name", "affected"),
    [
        ("model", "semicolon-loss", lambda spec: spec.model == "semicolon-loss"),
        ("scenario", "register", lambda spec: spec.scenario == "register"),
        ("detector", "mirror", lambda spec: spec.detector == "mirror"),
        ("mitigation", "alg-off", lambda spec: "alg-off" in spec.mitigations),
        (
            "model",
            "mikrotik(alg=off)",
            lambda spec: spec.model == "mikrotik" and "alg-off" in spec.mitigations,
        ),
        ("server", "proxy-detect", lambda spec: True),
        ("topology", "home", lambda spec: True),
    ],
)
def test_the_trials_that_name_what_changed_are_run_again(
    folder: Path, kind: str, name: str, affected: object
) -> None:
    told(folder, inputs=inputs(folder, kind, name))
    found = again.outlook(Store.opened(Place(str(folder))))
    assert found.changed == ((kind, name),)
    assert [each.number for each in found.affected] == [
        number
        for number, spec in enumerate(SPECS, 1)
        if affected(spec)  # type: ignore[operator]
    ]


def test_what_there_is_no_more_is_told(folder: Path) -> None:
    for path in (folder / "trials").iterdir():
        rows = decoded(path.read_bytes())
        for row in rows:
            row["model"] = "was-once" if row["trial"] == 1 else row["model"]
        path.write_bytes(encoded("trials", rows))
    found = again.outlook(Store.opened(Place(str(folder))))
    assert [(each.number, "unknown model 'was-once'" in why) for each, why in found.gone] == [(1, True)]


def test_a_sample_is_the_same_for_its_seed(folder: Path) -> None:
    trials = again.stored(Store.opened(Place(str(folder))))
    assert again.sample(trials, 5, 1) == again.sample(trials, 5, 1) != again.sample(trials, 5, 2)
    assert again.sample(trials, 99, 1) == trials


def test_verify_runs_a_sample_where_the_lab_changed_and_says_the_rate(folder: Path) -> None:
    told(folder, engine="0" * 32)
    came_out_otherwise(folder, 3)
    all_run = siplab("verify", str(folder), "--sample", "99")
    assert all_run.returncode == 1
    assert "trial 3 came out otherwise: semicolon-loss" not in all_run.stdout
    assert "trial 3 came out otherwise: none__register__seed2" in all_run.stdout
    assert f"{len(SPECS)} were run again (seed 1); 1 came out otherwise: 4.2%" in all_run.stdout
    held = siplab("verify", str(folder), "--sample", "2", "--seed", "5")
    assert held.returncode == 0
    assert "2 were run again (seed 5); 0 came out otherwise: 0.0%, at most 65.8% of all" in held.stdout


def test_reproduce_says_which_trial_came_out_otherwise(folder: Path) -> None:
    came_out_otherwise(folder, 6)
    found = siplab("reproduce", str(folder))
    assert found.returncode == 1
    assert "trial 6 came out otherwise" in found.stdout
    assert f"{len(SPECS)} trials, {len(SPECS) - 1} as stored" in found.stdout


def test_results_of_json_are_reproduced_too(tmp_path: Path) -> None:
    file = tmp_path / "e.yaml"
    file.write_text(
        "id: e\nmodels: [none, semicolon-loss]\nscenarios: [outgoing-call]\ndetectors: [mirror]\n"
        "world: simulated\n"
    )
    assert siplab("run", str(file), "--json", str(tmp_path / "r.json")).returncode == 0
    assert siplab("reproduce", str(tmp_path / "r.json")).returncode == 0
    data = json.loads((tmp_path / "r.json").read_text())
    data["trials"][0]["checks"][0]["passed"] = False
    (tmp_path / "r.json").write_text(json.dumps(data))
    found = siplab("reproduce", str(tmp_path / "r.json"))
    assert found.returncode == 1
    assert "trial 1 came out otherwise" in found.stdout


def test_a_run_that_is_not_whole_is_not_reproduced(folder: Path) -> None:
    (folder / "trials" / "part-000000.parquet").unlink()
    with pytest.raises(UsageError, match="go on with the run first"):
        again.stored(Store.opened(Place(str(folder))))


@pytest.mark.parametrize("command", ["reproduce", "verify"])
def test_what_is_no_result_is_one_clear_line(tmp_path: Path, command: str) -> None:
    found = siplab(command, str(tmp_path))
    assert found.returncode == 2
    assert len(found.stderr.strip().splitlines()) == 1
    (tmp_path / "experiment.json").write_text('{"version": 1, "engine": 3}')
    found = siplab(command, str(tmp_path))
    assert found.returncode == 2
    assert "field '" in found.stderr


# -- other Pythons -----------------------------------------------------------------------------------


def _others() -> list[str]:
    """Other Pythons of this machine that are recent enough."""
    found = [shutil.which(f"python3.{minor}") for minor in (12, 13, 14)]
    found += [str(each) for each in Path.home().glob(".pyenv/versions/3.1[1-9].*/bin/python")]
    ours = sys.version_info[:3]
    usable = []
    for each in filter(None, found):
        done = subprocess.run(
            [each, "-c", "import sys; print(*sys.version_info[:3])"],
            capture_output=True,
            text=True,
            check=False,
        )
        version = tuple(map(int, done.stdout.split())) if done.returncode == 0 else ours
        if version[:2] != ours[:2] and version >= (3, 11):
            usable.append(each)
    return usable


CODE = """
from siplab.experiments.storage.store import digest_of
from siplab.experiments.tables import tables
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
models = ("none", "semicolon-loss", "mikrotik", "linux")
specs = [TrialSpec(model=model, scenario="outgoing-call", changes=True) for model in models]
specs += [TrialSpec(model=model, detector="mirror", changes=True) for model in models]
rows = tables(trial.run(each)[0] for each in specs)["trials"]
print(digest_of((row["trial"], row["key"], row["digest"]) for row in rows))
"""


@pytest.mark.deep
def test_another_python_and_another_hash_seed_give_equal_digests(tmp_path: Path) -> None:
    others = _others()
    if not others:
        pytest.skip("there is no other Python from 3.11 on here")
    said = []
    for python, seed in ((sys.executable, "1"), (others[-1], "77")):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        if python != sys.executable:
            made = subprocess.run([python, "-m", "venv", tmp_path / "venv"], check=False)
            python = str(tmp_path / "venv" / "bin" / "python")
            needed = ["pydantic", "PyYAML", "rich", "typer", "annotated-types"]
            install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *needed]
            if made.returncode or subprocess.run(install, capture_output=True, check=False).returncode:
                pytest.skip(f"what siplab needs can't be installed for {others[-1]}")
        done = subprocess.run(
            [python, "-c", CODE], capture_output=True, text=True, cwd=ROOT, env=environment, check=False
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    assert said[0] == said[1]
