"""Runs that end before their time: nothing is lost, nothing is run twice, and the end is the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from siplab.experiments.explain import explained
from siplab.experiments.library import experiment
from siplab.experiments.output import digests, journal
from siplab.experiments.output.journal import Journal
from siplab.experiments.trial import run as trial
from siplab.experiments.trial import runner
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.runner import InterruptedRunError
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from tests.command import siplab
from tests.conftest import ROOT

COMMAND = (sys.executable, "-m", "siplab")
MODELS = ("none", "correct", "semicolon-loss", "blind-ip-replace", "via-rport-stripped")
SCENARIOS = ("register", "outgoing-call", "incoming-call")
TEXT = f"""
id: sweep
models: [{", ".join(MODELS)}]
scenarios: [{", ".join(SCENARIOS)}]
detectors: [mirror]
repeat: 6
world: simulated
"""
TRIALS = len(MODELS) * (len(SCENARIOS) + 1) * 6


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sweep") / "sweep.yaml"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def whole(sweep: Path) -> Path:
    """The results of a run of ``sweep`` that nobody interrupted."""
    assert siplab("run", str(sweep), "--out", str(sweep.parent / "whole")).returncode == 0
    return sweep.parent / "whole" / "results.json"


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def lines(folder: Path) -> list[str]:
    path = folder / journal.NAME
    return path.read_text().splitlines() if path.exists() else []


def wait_for(done: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Until the run has come so far: what is waited for is its own file."""
    deadline = time.monotonic() + 60
    while not done():
        assert process.poll() is None, "the run was over before it could be interrupted"
        assert time.monotonic() < deadline, "the run came to nothing"
        time.sleep(0.002)


def stopped(sweep: Path, folder: Path, how: signal.Signals, jobs: int = 1) -> tuple[int, str]:
    """A run that gets a signal when its first results are there; its exit status and standard error."""
    process = start("run", sweep, "--out", folder, "--jobs", jobs)
    wait_for(lambda: len(lines(folder)) >= 3, process)
    os.killpg(process.pid, how)
    _, err = process.communicate(timeout=60)
    return process.returncode, err


# -- real processes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_keeps_what_was_done_and_says_how_to_go_on(sweep: Path, tmp_path: Path, jobs: int) -> None:
    folder = tmp_path / "out"
    status, err = stopped(sweep, folder, signal.SIGINT, jobs)
    assert status == 130
    assert "Traceback" not in err
    last = err.strip().splitlines()[-1]
    assert last.startswith("siplab: interrupted after ")
    assert f" of {TRIALS} trials; go on with: siplab run {sweep} --out {folder}" in last
    assert last.endswith("--resume")
    data = json.loads((folder / "results.json").read_text())
    assert data["interrupted"] is True
    assert data["trials_to_run"] == TRIALS
    assert 3 <= len(data["trials"]) < TRIALS
    assert len(lines(folder)) == len(data["trials"])


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_goes_on_ends_as_if_nothing_had_happened(
    sweep: Path, whole: Path, tmp_path: Path, how: signal.Signals
) -> None:
    folder = tmp_path / "out"
    stopped(sweep, folder, how)
    before = lines(folder)
    kept = [each for each in before if each.endswith("}}")]  # the last one may be cut off
    done = siplab("run", str(sweep), "--out", str(folder), "--resume")
    assert done.returncode == 0
    assert f"{len(kept)} of {TRIALS} trials are there already" in done.stderr
    after = lines(folder)
    assert after[: len(kept)] == kept
    assert len(after) == TRIALS, "a trial was run twice, or not at all"
    assert (folder / "results.json").read_bytes() == whole.read_bytes()


def test_scores_can_be_gone_on_with(tmp_path: Path) -> None:
    arguments = ("score", "--detector", "mirror", "--world", "simulated", "--out", str(tmp_path / "out"))
    process = start(*arguments)
    wait_for(lambda: len(lines(tmp_path / "out")) >= 3, process)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in err
    done = siplab(*arguments, "--resume")
    assert done.returncode == 0
    assert "trials are there already" in done.stderr
    whole = tmp_path / "whole"
    assert siplab(*arguments[:-1], str(whole)).returncode == 0
    assert (tmp_path / "out" / "score.json").read_bytes() == (whole / "score.json").read_bytes()


@pytest.mark.needs("emulated")
def test_ctrl_c_in_the_emulated_world(sweep: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    process = start("run", sweep, "--world", "emulated", "--out", folder)
    wait_for(lambda: len(lines(folder)) >= 2, process)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert len(json.loads((folder / "results.json").read_text())["trials"]) == len(lines(folder))


def test_resume_needs_a_folder(sweep: Path) -> None:
    done = siplab("run", str(sweep), "--resume")
    assert done.returncode == 2
    assert (
        done.stderr == "siplab: --resume needs --out FOLDER: where the results of the interrupted run are\n"
    )


# -- in this process ---------------------------------------------------------------------------------

SPECS = [TrialSpec("home", "none", "register", seed=seed) for seed in (1, 2, 3)]


def test_only_what_is_missing_is_run(tmp_path: Path) -> None:
    with Journal(tmp_path, "simulated") as first:
        runner.run_all(SPECS[:2], world="simulated", journal=first)
    with Journal(tmp_path, "simulated", resume=True) as second:
        assert sorted(second.known(SPECS)) == [0, 1]
        results = runner.run_all(SPECS, world="simulated", journal=second)
    assert [each.spec for each in results] == SPECS
    assert len(lines(tmp_path)) == 3


@pytest.mark.parametrize(
    "other",
    [
        TrialSpec("home", "correct", "register"),
        TrialSpec("home", "none", "register", seed=4),
        TrialSpec("home", "none", "register", mitigations=("alg-off",)),
        TrialSpec("double-nat", "none", "register"),
        TrialSpec("home", "none", "outgoing-call"),
    ],
    ids=lambda spec: spec.name,
)
def test_another_trial_is_not_taken_for_it(tmp_path: Path, other: TrialSpec) -> None:
    with Journal(tmp_path, "simulated") as first:
        runner.run_all(SPECS, world="simulated", journal=first)
    with Journal(tmp_path, "simulated", resume=True) as second:
        assert second.known([other]) == {}
    with Journal(tmp_path, "emulated", resume=True) as third:
        assert third.known(SPECS) == {}


def test_a_model_that_changed_is_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine.py"
    source = (ROOT / "alg_models" / "faults" / "semicolon_loss.py").read_text()
    mine.write_text(source.replace('id="semicolon-loss"', 'id="mine"'))
    spec = TrialSpec("home", "mine", "register", model_paths=(str(mine),))
    before = journal.key_of(spec, "simulated")
    mine.write_text(mine.read_text() + "\n# another version\n")
    digests.files.cache_clear()
    assert journal.key_of(spec, "simulated") != before


def test_a_void_trial_is_run_again(tmp_path: Path) -> None:
    with Journal(tmp_path, "simulated") as first:
        first.add(TrialResult(SPECS[0], "simulated", errors=["the trial's process died"]))
    with Journal(tmp_path, "simulated", resume=True) as second:
        assert second.known(SPECS[:1]) == {}


def test_a_line_that_was_cut_off_does_not_count(tmp_path: Path) -> None:
    with Journal(tmp_path, "simulated") as first:
        runner.run_all(SPECS, world="simulated", journal=first)
    path = tmp_path / journal.NAME
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with Journal(tmp_path, "simulated", resume=True) as second:
        assert sorted(second.known(SPECS)) == [0, 1]
        runner.run_all(SPECS, world="simulated", journal=second)
    assert path.read_bytes() == whole


def test_a_file_that_is_no_journal_is_named(tmp_path: Path) -> None:
    (tmp_path / journal.NAME).write_text("{}\n")
    with pytest.raises(UsageError, match=r"results.jsonl:1: no result of a trial; start anew"):
        Journal(tmp_path, "simulated", resume=True)


@pytest.mark.parametrize(
    "spec",
    [
        TrialSpec("home", "semicolon-loss", "register"),
        TrialSpec("home", "none", "incoming-call(idle=70)", mitigations=("non-standard-port",)),
        TrialSpec("home", "blind-ip-replace", detector="mirror", reach=True),
    ],
    ids=lambda spec: spec.name,
)
def test_results_come_back_from_json_as_they_were(spec: TrialSpec) -> None:
    result = explained(*trial.run(spec))
    again = journal.from_json(spec, json.loads(json.dumps(result.as_json())))
    assert again.as_json() == result.as_json()
    assert (again.outcome, again.spec, again.reach) == (result.outcome, result.spec, result.reach)


def test_an_interrupted_run_gives_what_it_has() -> None:
    def stop(result: TrialResult) -> None:
        if result.spec is SPECS[1]:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError, match="interrupted after 2 of 3 trials") as caught:
        runner.run_all(SPECS, world="simulated", progress=stop)
    assert [each.spec for each in caught.value.results] == SPECS[:2]


def test_the_matrix_has_every_model_in_every_scenario() -> None:
    specs = experiment.load("matrix").trials()
    models = [each.id for each in trial.models().runnable()]
    assert len(specs) == len(set(specs)) == len(models) * len({each.scenario for each in specs})
    assert {each.model for each in specs} == set(models)
    assert {"register", "outgoing-call", "hold"} <= {each.scenario for each in specs}
