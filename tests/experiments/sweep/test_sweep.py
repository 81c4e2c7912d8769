"""Many trials into a store: whoever runs them, and whatever ends in between, the tables are the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from siplab.experiments.library import experiment
from siplab.experiments.storage.parquet import decoded
from siplab.experiments.storage.places import Place
from siplab.experiments.storage.results import results
from siplab.experiments.storage.store import Store
from siplab.experiments.sweep import executors
from siplab.experiments.sweep.chunks import chunks
from siplab.experiments.sweep.dask import dask
from siplab.experiments.sweep.sweep import How, manifest_of, sweep
from siplab.experiments.sweep.work import Done, Work
from siplab.experiments.tables import TABLES, tables
from siplab.experiments.trial import runner
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from tests.command import siplab
from tests.conftest import ROOT
from tests.experiments.sweep.killing import Killing

pytest.importorskip("pyarrow")

MODELS = ("none", "correct", "semicolon-loss", "blind-ip-replace", "via-rport-stripped", "mikrotik")
SPECS = [
    TrialSpec(model=model, scenario=scenario, detector=detector, seed=seed, reach=bool(detector))
    for model in MODELS
    for scenario, detector in (("register", ""), ("message", ""), ("", "mirror"))
    for seed in (1, 2)
]
BATCH = 7


def into(place: str, specs: list[TrialSpec] = SPECS, how: How = How(), **options: Any) -> Store:  # noqa: B008
    return sweep(specs, Place(place), manifest_of("sweep", "simulated", specs, BATCH), how, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return into(str(tmp_path_factory.mktemp("whole")))


def everything(store: Store) -> dict[str, list[Any]]:
    return {name: sorted(store.rows(name), key=str) for name in TABLES}


def work_of(store: Store, place: Path) -> Work:
    Store.begun(Place(str(place)), store.manifest, resume=False)
    return Work(Place(str(place)), store.manifest)


# -- batches -----------------------------------------------------------------------------------------


def test_batches_keep_settings_together_and_every_trial_once() -> None:
    made = list(chunks(SPECS, BATCH))
    assert [each.part for each in made] == list(range(len(made)))
    assert sorted(number for each in made for number, _ in each.trials) == list(range(1, len(SPECS) + 1))
    for each in made:
        assert len(each.trials) <= BATCH
        assert all(SPECS[number - 1] == spec for number, spec in each.trials)
    where: dict[tuple[str, int], set[int]] = {}
    for each in made:
        for _, spec in each.trials:
            where.setdefault((spec.played, spec.seed), set()).add(each.part)
    assert all(len(parts) == 1 for parts in where.values())  # none is larger than a batch


# -- what is stored ----------------------------------------------------------------------------------


def test_the_store_has_the_rows_that_the_results_give(whole: Store) -> None:
    alone = runner.run_all(
        [TrialSpec(**{**vars(each), "changes": True}) for each in SPECS], world="simulated", share=False
    )
    expected = {name: sorted(rows, key=str) for name, rows in tables(alone).items()}
    assert everything(whole) == expected


def test_results_come_back_as_they_were(whole: Store) -> None:
    back = [result for _, result in sorted(results(whole), key=lambda each: each[0])]
    expected = {name: sorted(rows, key=str) for name, rows in tables(back).items()}
    assert everything(whole) == expected


def test_duckdb_and_pandas_read_it(whole: Store) -> None:
    duckdb, pandas = pytest.importorskip("duckdb"), pytest.importorskip("pandas")
    asked = f"""
        select t.model, count(*) from read_parquet('{whole.place.at}/trials/*.parquet') t
        join read_parquet('{whole.place.at}/checks/*.parquet') c using (trial) where not c.passed group by all
    """
    failed = dict(duckdb.sql(asked).fetchall())
    assert set(failed) >= {"semicolon-loss"}
    assert "none" not in failed
    frame = pandas.read_parquet(f"{whole.place.at}/trials")
    assert len(frame) == len(SPECS)
    assert str(frame["outcome"].dtype) == "category"
    assert frame["reach_touched"].isna().sum() == len(SPECS) * 2 // 3
    assert frame.drop(columns=["reach_touched", "reach_translation_only", "verdict"]).notna().all().all()


def test_what_depends_on_the_machine_is_in_the_provenance_alone(whole: Store) -> None:
    machine = [sys.version.split()[0], os.uname().release]
    for file in Path(whole.place.at).rglob("*"):
        if file.is_file() and file.name != "provenance.json":
            assert not [each for each in machine if each.encode() in file.read_bytes()], file


# -- executors ---------------------------------------------------------------------------------------


def test_a_folder_by_its_url_is_the_same(whole: Store, tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    store = into(f"file://{tmp_path}/by-url")
    assert store.digest() == whole.digest()
    assert not list(tmp_path.rglob("*.part"))


def test_memory_holds_a_store_for_workers_of_this_process(whole: Store) -> None:
    pytest.importorskip("fsspec")
    assert into("memory://sweep-local").digest() == whole.digest()
    with pytest.raises(UsageError, match="can't write into this one's memory"):
        into("memory://sweep-processes", how=How("processes", 2))


def test_a_process_that_dies_costs_its_batch_which_is_run_again(whole: Store, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    plain = work_of(whole, tmp_path / "killed")
    work = Killing(plain.place, plain.manifest, victim=2, notes=str(notes))
    said: list[str] = []
    asked = [TrialSpec(**{**vars(each), "changes": True}) for each in SPECS]
    done = list(executors.processes(work, chunks(asked, BATCH), 2, said.append))
    assert Store(plain.place, plain.manifest).digest() == whole.digest()
    assert sum(each.trials for each in done) == len(SPECS)
    assert any("a worker died" in each for each in said)
    assert everything(Store(plain.place, plain.manifest)) == everything(whole)


@pytest.mark.deep
def test_a_batch_that_ends_every_process_is_invalid_and_the_others_are_not(
    whole: Store, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    plain = work_of(whole, tmp_path / "killed")
    work = Killing(plain.place, plain.manifest, victim=1, times=99, notes=str(notes))
    some = [TrialSpec(**{**vars(each), "changes": True}) for each in SPECS]
    done = list(executors.processes(work, chunks(some, BATCH), 2, lambda text: None))
    assert {each.part for each in done} == whole.parts()
    outcomes = {each.part: each.outcomes for each in done}
    assert set(outcomes[1]) == {"error"}
    assert not any("error" in each for part, each in outcomes.items() if part != 1)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as made:
        yield made


def test_a_worker_of_dask_that_is_killed_changes_nothing(whole: Store, tmp_path: Path, cluster: Any) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    plain = work_of(whole, tmp_path / "killed")
    work = Killing(plain.place, plain.manifest, victim=2, notes=str(notes))
    said: list[str] = []
    asked = [TrialSpec(**{**vars(each), "changes": True}) for each in SPECS]
    done = list(dask(work, chunks(asked, BATCH), 1, cluster.scheduler_address, said.append))
    assert sum(each.trials for each in done) == len(SPECS)
    assert everything(Store(plain.place, plain.manifest)) == everything(whole)
    assert any("is gone" in each for each in said)


def test_dask_writes_into_memory_with_workers_in_this_process(whole: Store) -> None:
    pytest.importorskip("distributed")
    store = into("memory://sweep-dask", how=How("dask", 1))
    assert store.digest() == whole.digest()


def test_no_scheduler_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("siplab.experiments.sweep.dask._WAIT", "1s")
    with pytest.raises(UsageError, match=r"--scheduler tcp://127\.0\.0\.1:9: no scheduler of Dask"):
        into(str(tmp_path / "x"), how=How("dask", 1, "tcp://127.0.0.1:9"))


# -- runs that are killed ----------------------------------------------------------------------------

TEXT = f"""
id: sweep
models: [{", ".join(MODELS)}]
scenarios: [register, message]
detectors: [mirror]
repeat: 3
world: simulated
"""


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.deep)])
def test_a_killed_run_loses_at_most_one_batch_of_each_worker(tmp_path: Path, jobs: int) -> None:
    file, folder = tmp_path / "sweep.yaml", tmp_path / "out"
    file.write_text(TEXT)
    command = ["run", str(file), "--parquet", str(folder), "--batch", "4", "--jobs", str(jobs)]
    process = subprocess.Popen(
        [sys.executable, "-m", "siplab", *command],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while len(list(folder.glob("trials/*.parquet"))) < 3:
        assert process.poll() is None, "the run was over before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    there = {each.name: each.stat().st_mtime_ns for each in folder.glob("trials/*.parquet")}
    (folder / "changes" / "part-009999.parquet").write_bytes(b"left behind")
    assert not (folder / "digest.json").exists()
    specs = experiment.load(str(file)).trials()
    with pytest.raises(UsageError, match="--resume goes on"):
        sweep(specs, Place(str(folder)), manifest_of("sweep", "simulated", specs, 4))
    trials = sum(len(decoded((folder / "trials" / name).read_bytes(), ["trial"])) for name in there)
    resumed = siplab(*command, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert f"{trials} of {len(specs)} trials were there already" in resumed.stderr
    now = {each.name: each.stat().st_mtime_ns for each in folder.glob("trials/*.parquet")}
    assert {name: now[name] for name in there} == there  # not run again
    assert not (folder / "changes" / "part-009999.parquet").exists()
    alone = sweep(specs, Place(str(tmp_path / "alone")), manifest_of("sweep", "simulated", specs, 4))
    assert alone.digest() == Store.opened(Place(str(folder))).digest()


def test_a_store_of_another_experiment_is_left_alone(whole: Store) -> None:
    with pytest.raises(UsageError, match="another experiment"):
        into(whole.place.at, SPECS[:6], resume=True)


def test_progress_hears_of_every_trial_once(tmp_path: Path) -> None:
    heard: list[Done] = []
    into(str(tmp_path / "a"), progress=heard.append)
    assert sum(each.trials for each in heard) == len(SPECS)
    again: list[Done] = []
    into(str(tmp_path / "a"), progress=again.append, resume=True)
    assert sum(each.trials for each in again) == len(SPECS)
    assert {each.worker for each in again} == {""}
    assert [each.outcomes for each in again] == [each.outcomes for each in heard]


# -- options -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--executor", "processes"], "--executor needs --parquet"),
        (["--scheduler", "tcp://x:1"], "--scheduler needs --parquet"),
        (["--parquet", "{at}", "--out", "{at}"], "--parquet takes the place of --out"),
        (["--parquet", "{at}", "--executor", "local", "--scheduler", "x"], "is for --executor dask"),
        (["--resume"], "--resume needs --out"),
        (["--parquet", "what://nobody/knows"], "--parquet what://nobody/knows: "),
    ],
)
def test_options_that_do_not_go_together_are_one_clear_line(
    tmp_path: Path, options: list[str], said: str
) -> None:
    found = siplab("run", "quickstart", *(each.format(at=tmp_path / "x") for each in options))
    assert found.returncode == 2
    assert said in found.stderr
    assert "Traceback" not in found.stderr
    assert len(found.stderr.strip().splitlines()) <= 2


def test_a_library_that_is_missing_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"--parquet x needs pyarrow .*pip install 'siplab\[data\]'"):
        into("x")
