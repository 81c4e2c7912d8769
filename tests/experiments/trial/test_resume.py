"""Runs that end before their time: nothing is lost, nothing is run twice, and the end is the same."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from siplab.experiments.explain import explained
from siplab.experiments.library import experiment
from siplab.experiments.output import files, journal, keys
from siplab.experiments.output.journal import Journal
from siplab.experiments.programs import ProgramDetector
from siplab.experiments.trial import run as trial
from siplab.experiments.trial import runner
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.runner import InterruptedRunError
from siplab.experiments.trial.spec import TrialSpec
from siplab.experiments.trial.stage import Finding
from siplab.lab import outputs
from siplab.lab.errors import OutputError, UsageError
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


def keys_of(journaled: Iterable[str]) -> list[str]:
    return [json.loads(each)["key"] for each in journaled]


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
    kept = keys_of(each for each in lines(folder) if each.endswith("}}"))  # the last one may be cut off
    done = siplab("run", str(sweep), "--out", str(folder), "--resume")
    assert done.returncode == 0
    assert f"{len(kept)} of {TRIALS} trials are there already" in done.stderr
    after = keys_of(lines(folder))
    assert after[: len(kept)] == kept
    assert len(after) == len(set(after)) == TRIALS, "a trial was run twice, or not at all"
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


@pytest.fixture
def fresh() -> Iterator[Callable[[], None]]:
    """What has been read of files is forgotten, as in another run."""

    def forget() -> None:
        for each in (keys.plugin_digest, keys._file_and_beside, keys._packages, keys._sources):
            each.cache_clear()

    yield forget
    forget()


def test_a_model_that_changed_is_run_again(tmp_path: Path, fresh: Callable[[], None]) -> None:
    mine, beside, package = tmp_path / "mine.py", tmp_path / "helper.py", tmp_path / "parts"
    source = (ROOT / "alg_models" / "faults" / "semicolon_loss.py").read_text()
    mine.write_text(source.replace('id="semicolon-loss"', 'id="mine"'))
    beside.write_text("")
    package.mkdir()
    (package / "__init__.py").write_text("")
    spec = TrialSpec("home", "mine", "register", model_paths=(str(mine),))
    seen = {keys.key_of(spec, "simulated")}
    for number, file in enumerate((mine, beside, package / "__init__.py", tmp_path / "data.json"), 2):
        with file.open("a") as out:
            out.write("\n# another version\n")
        fresh()
        seen.add(keys.key_of(spec, "simulated"))
        assert len(seen) == number, file


def test_a_program_that_changed_is_run_again(tmp_path: Path, fresh: Callable[[], None]) -> None:
    files = {
        name: tmp_path / name for name in ("client.py", "helper.py", "table.cfg", "environment.txt", "tool")
    }
    for each in files.values():
        each.write_text("")
    files["tool"].chmod(0o755)
    program = ProgramDetector.model_validate(
        {
            "id": "mine",
            "client": {
                "command": "python3 {here}/client.py --table={here}/table.cfg {server_ip}",
                "environment": {"FILE": "{here}/environment.txt"},
            },
            "server": {"command": "{here}/tool"},
            "verdict": {"exit": {"clean": 0}},
            "here": str(tmp_path),
        }
    )
    spec = TrialSpec("home", "none", detector=program)
    assert keys.unknowable(spec) == ""
    seen = {keys.key_of(spec, "emulated")}
    for number, file in enumerate(files.values(), 2):
        file.write_text("# another version")
        fresh()
        seen.add(keys.key_of(spec, "emulated"))
        assert len(seen) == number, file


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        ({"command": "sh -c 'exit 0'"}, "code in it"),
        ({"command": "python3 -m mine"}, "code in it"),
        ({"command": "cat {here}"}, "is given the folder"),
        ({"image": "mine:1"}, "container image"),
        ({"command": "true", "writable": ["/tmp"]}, "keeps files"),
    ],
)
def test_programs_whose_inputs_cannot_be_known_are_run_again(
    tmp_path: Path, client: dict[str, object], reason: str
) -> None:
    program = ProgramDetector.model_validate(
        {"id": "mine", "client": client, "verdict": {"exit": {"clean": 0}}, "here": "/tmp"}
    )
    spec = TrialSpec("home", "none", detector=program)
    with Journal(tmp_path, "emulated") as first:
        first.add(TrialResult(spec, "emulated", finding=Finding("clean")))
    with Journal(tmp_path, "emulated", resume=True) as second:
        assert second.known([spec]) == {}
        assert reason in second.untrusted[0]
    with Journal(tmp_path, "emulated", resume=True, trust=True) as third:
        assert third.known([spec])[0].outcome == "clean"


def test_another_python_or_kernel_is_another_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, kernel = (
        TrialSpec("home", "none", "register"),
        TrialSpec("home", "linux", "register", gateway="kernel"),
    )
    before = keys.key_of(spec, "emulated"), keys.key_of(kernel, "emulated")
    monkeypatch.setattr(platform, "uname", lambda: "another")
    assert keys.key_of(spec, "emulated") == before[0]
    assert keys.key_of(kernel, "emulated") != before[1]
    monkeypatch.setattr(sys, "version", "another")
    assert keys.key_of(spec, "emulated") != before[0]


def test_an_installed_package_that_changed_is_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: Callable[[], None]
) -> None:
    info = tmp_path / "mine-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[siplab.detectors]\nmine = mine_of_mine\n")
    (info / "RECORD").write_text("mine_of_mine.py,sha256=a,1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = TrialSpec("home", "none", "register")
    seen = set()
    for version in "ab":
        (info / "RECORD").write_text(f"mine_of_mine.py,sha256={version},1\n")
        fresh()
        seen.add(keys.key_of(spec, "simulated"))
    assert len(seen) == 2


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


@pytest.mark.parametrize("line", ["{}", "[" * 100_000, '{"key":"a","result":{"errors":[', "", "\0\0\0"])
def test_damaged_lines_are_skipped_and_counted(tmp_path: Path, line: str) -> None:
    with Journal(tmp_path, "simulated") as first:
        runner.run_all(SPECS, world="simulated", journal=first)
    path = tmp_path / journal.NAME
    whole = path.read_text().splitlines()
    path.write_text("\n".join([whole[0], line, whole[1] + whole[2], *whole[2:]]) + "\n")
    with Journal(tmp_path, "simulated", resume=True) as second:
        assert sorted(second.known(SPECS)) == [0, 2]
        assert second.damaged == 2
        results = runner.run_all(SPECS, world="simulated", journal=second)
    assert [each.errors for each in results] == [[], [], []]
    rows, damaged = journal.results_in(path)
    assert (len(rows), damaged) == (3, 2)


def test_a_former_run_is_moved_aside(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        with Journal(tmp_path, "simulated") as each:
            assert (each.moved is None) == (number == 1)
            runner.run_all(SPECS[:number], world="simulated", journal=each)
    kept = {each.name: len(each.read_text().splitlines()) for each in tmp_path.glob("*.jsonl")}
    assert kept == {"results.1.jsonl": 1, "results.2.jsonl": 2, "results.jsonl": 3}


@pytest.fixture
def settled(tmp_path: Path) -> list[TrialResult]:
    """Results that a finished run has left in ``tmp_path``."""
    with Journal(tmp_path, "simulated") as first:
        results = runner.run_all(SPECS, world="simulated", journal=first)
    files.write_results([tmp_path / files.RESULTS], files.as_json("test", "simulated", results))
    journal.settle(tmp_path, "simulated", results)
    return results


def test_a_result_stands_in_one_place(tmp_path: Path, settled: list[TrialResult]) -> None:
    assert [sorted(json.loads(each)) for each in lines(tmp_path)] == [["key", "of", "trial"]] * 3
    rows, damaged = journal.results_in(tmp_path / journal.NAME)
    assert rows == json.loads((tmp_path / files.RESULTS).read_text())["trials"]
    assert damaged == 0


def test_a_settled_run_is_gone_on_with(tmp_path: Path, settled: list[TrialResult]) -> None:
    more = [TrialSpec("home", "correct", "register"), *SPECS]
    with Journal(tmp_path, "simulated", resume=True) as second:
        (tmp_path / files.RESULTS).unlink()  # from here on nothing is read of it
        assert sorted(second.known(more)) == [1, 2, 3]
        results = runner.run_all(more, world="simulated", journal=second)
    rows, _ = journal.results_in(tmp_path / journal.NAME)
    assert rows == [each.as_json() for each in (*settled, results[0])]
    files.write_results([tmp_path / files.RESULTS], files.as_json("test", "simulated", results))
    journal.settle(tmp_path, "simulated", results)
    assert [json.loads(each)["trial"] for each in lines(tmp_path)] == [1, 2, 3, 0]
    assert sorted(row["seed"] for row in journal.results_in(tmp_path / journal.NAME)[0]) == [1, 1, 2, 3]


def test_a_settled_run_that_is_moved_aside_has_its_results_with_it(
    tmp_path: Path, settled: list[TrialResult]
) -> None:
    with Journal(tmp_path, "simulated") as second:
        moved = second.moved
    (tmp_path / files.RESULTS).unlink()
    assert moved is not None
    assert journal.results_in(moved) == ([each.as_json() for each in settled], 0)


def test_results_of_which_the_run_is_interrupted_again_are_not_lost(
    tmp_path: Path, settled: list[TrialResult]
) -> None:
    other = [TrialSpec("home", "correct", "register")]
    with Journal(tmp_path, "simulated", resume=True) as second:
        results = runner.run_all(other, world="simulated", journal=second)
    files.write_results([tmp_path / files.RESULTS], files.as_json("test", "simulated", results))
    for _ in range(2):  # the results of the first run stay in their lines: the file has others
        journal.settle(tmp_path, "simulated", results)
        with Journal(tmp_path, "simulated", resume=True) as third:
            assert len(third.known([*SPECS, *other])) == 4
            assert third.damaged == 0


def test_results_that_somebody_replaced_are_not_taken_for_those_of_the_run(
    tmp_path: Path, settled: list[TrialResult]
) -> None:
    path = tmp_path / files.RESULTS
    path.write_text(path.read_text().replace('"outcome": "pass"', '"outcome": "fail"'))
    with Journal(tmp_path, "simulated", resume=True) as second:
        assert second.known(SPECS) == {}
        assert second.damaged == 3
        runner.run_all(SPECS, world="simulated", journal=second)
    assert len(journal.results_in(tmp_path / journal.NAME)[0]) == 3


@pytest.mark.parametrize("going_on", [True, False])
def test_on_a_full_disk_lines_stay_as_they_are(
    tmp_path: Path, settled: list[TrialResult], monkeypatch: pytest.MonkeyPatch, going_on: bool
) -> None:
    """Whether they are to be written whole again, as a run goes on, or short, at its end."""
    before = (tmp_path / journal.NAME).read_bytes()

    def full(path: Path) -> None:
        raise OutputError(f"{path}: No space left on device")

    def act() -> None:
        if going_on:
            Journal(tmp_path, "simulated", resume=True)
        journal.settle(tmp_path, "simulated", settled)

    monkeypatch.setattr(journal, "replaced", full)
    with pytest.raises(OutputError, match="No space left on device"):
        act()
    assert (tmp_path / journal.NAME).read_bytes() == before
    monkeypatch.undo()
    with Journal(tmp_path, "simulated", resume=True) as second:  # and nobody holds the folder's lock
        assert len(second.known(SPECS)) == 3


def test_a_folder_is_one_runs_at_a_time(tmp_path: Path) -> None:
    with Journal(tmp_path, "simulated") as first:
        runner.run_all(SPECS, world="simulated", journal=first)
        for resume in (False, True):
            with pytest.raises(UsageError, match="another run is writing into it; name another folder"):
                Journal(tmp_path, "simulated", resume=resume)
        assert len(lines(tmp_path)) == 3
    with Journal(tmp_path, "simulated", resume=True) as second:
        assert len(second.known(SPECS)) == 3


# -- a disk that is full -------------------------------------------------------------------------------


def limited(size: int, *arguments: object) -> tuple[int, str]:
    """A run whose files may have ``size`` bytes: the write that crosses that is short, the next one fails."""
    script = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2); "
    script += "sys.argv[:2] = ['siplab']; from siplab.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, str(size), *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_a_full_disk_is_one_line_and_nothing_is_lost(tmp_path: Path) -> None:
    short = tmp_path / "short.yaml"
    short.write_text(
        "id: short\nmodels: [none, correct]\nscenarios: [register, outgoing-call]\nworld: simulated\n"
    )
    folder = tmp_path / "out"
    # Enough for a registration's trace, not for that of a call.
    status, err = limited(30_000, "run", short, "--out", folder, "--traces", "all")
    assert status == 2
    assert "Traceback" not in err
    assert "File too large; go on with: siplab run" in err.strip().splitlines()[-1]
    kept = lines(folder)
    assert kept
    assert not list(folder.glob(".siplab-*"))
    done = siplab("run", str(short), "--out", str(folder), "--traces", "all", "--resume")
    assert done.returncode == 0, done.stderr
    assert f"{len(kept)} of 4 trials are there already" in done.stderr
    assert "damaged" not in done.stderr
    whole = tmp_path / "whole"
    assert siplab("run", str(short), "--out", str(whole), "--traces", "all").returncode == 0
    assert (folder / "results.json").read_bytes() == (whole / "results.json").read_bytes()


def test_a_line_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """The write that the disk has no more room for is a short one."""
    code = f"""
import resource
from pathlib import Path
from siplab.experiments.output.journal import Journal
from siplab.experiments.programs import ProgramDetector
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.experiments.trial.stage import Finding
from siplab.lab.errors import OutputError
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
with Journal(Path({str(tmp_path)!r}), "simulated") as journal:
    for seed in range(1, 100):
        spec = TrialSpec("home", "none", "register", seed=seed)
        try:
            journal.add(TrialResult(spec, "simulated"))
        except OutputError as error:
            print(error)
            break
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == f"{tmp_path / journal.NAME}: File too large\n"
    rows, damaged = journal.results_in(tmp_path / journal.NAME)
    assert len(rows) >= 2
    assert damaged == 0
    assert (tmp_path / journal.NAME).read_bytes().endswith(b"\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a system without /dev/full")
@pytest.mark.parametrize("option", ["--json", "--csv", "--junit", "--markdown", "--badge"])
def test_an_output_that_cannot_be_written_is_status_2(option: str) -> None:
    done = siplab(
        *("score", "--detector", "mirror", "--models", "semicolon-loss", "--world", "simulated"),
        *(option, "/dev/full"),
    )
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1] == "siplab: /dev/full: No space left on device"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a system without /dev/full")
def test_a_full_standard_output_is_status_2() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "models"],
            cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (2, "siplab: output: No space left on device\n")


def test_a_reader_that_goes_away_is_no_success() -> None:
    process = start("models", "--json")
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(60) == 141


def test_outputs_are_the_old_ones_until_they_are_the_new_ones(tmp_path: Path) -> None:
    path = tmp_path / "score.json"
    path.write_text("old")
    with pytest.raises(RuntimeError), outputs.replaced(path) as file:  # noqa: PT012
        file.write(b"new")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["score.json"]
    link = tmp_path / "link"
    link.symlink_to(path)
    outputs.write_text(link, "new \ud800")
    assert link.is_symlink()
    assert path.read_text() == "new \\ud800"


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
