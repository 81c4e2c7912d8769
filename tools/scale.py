"""``make scale``: run many trials into a store, with a kill and a restart on the way; what more would cost.

``python -m tools.scale [--trials 100000] [--jobs 2] [--batch 1000]`` prints the results and writes them into
``out/scale.json``:

- trials per second and per CPU second, in the first and in the last fifth of the run: does the cost grow?
- memory of the process that distributes the work, and of its workers, in both fifths;
- what a SIGKILL after a third of the trials costs: finished batches that are run again (none), and unfinished
  batches (at most one for each worker);
- bytes per trial, by table; and Parquet compared with JSON lines: bytes, seconds to load;
- the cost of 10^6 and 2 x 10^7 trials, extrapolated.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from siplab.alg_models import catalogue
from siplab.experiments.storage.parquet import encoded
from siplab.experiments.storage.places import Place
from siplab.experiments.storage.store import Store
from siplab.experiments.sweep.chunks import chunks
from siplab.experiments.sweep.sweep import BATCH, How, manifest_of, sweep
from siplab.experiments.sweep.work import Done
from siplab.experiments.tables import TABLES, tables
from siplab.experiments.trial.sharing import Sharing
from siplab.experiments.trial.spec import TrialSpec

ROOT: Final = Path(__file__).parents[1]
# The most common scenarios. Each runs with all models, so that one seed makes a thousand trials.
PLAYED: Final = ("register", "outgoing-call", "incoming-call", "message", "hold", "cancel")
LARGER: Final = (1_000_000, 20_000_000)


def plan(trials: int) -> list[TrialSpec]:
    """This many trials: all models, six scenarios, and as many seeds as needed."""
    models = [each.id for each in catalogue.load().runnable()]
    found: list[TrialSpec] = []
    seed = 0
    while len(found) < trials:
        seed += 1
        found += [TrialSpec(model=model, scenario=each, seed=seed) for each in PLAYED for model in models]
    return found[:trials]


# -- the run -----------------------------------------------------------------------------------------


def _memory(process: int | str) -> int:
    """Resident memory of a process in kilobytes, without pages of mapped files; 0 if the process is gone."""
    try:
        text = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("RssAnon")), 0)


def _workers() -> list[int]:
    mine = os.getpid()
    text = Path(f"/proc/{mine}/task/{mine}/children").read_text(encoding="ascii")
    return [int(each) for each in text.split()]


def child(place: str, trials: int, jobs: int, batch: int) -> None:
    """Start or continue the run; prints a line of JSON for each batch."""
    specs = plan(trials)

    def told(done: Done) -> None:
        workers = [_memory(each) for each in _workers()]
        print(
            json.dumps(
                {
                    "trials": done.trials,
                    "cpu_s": done.seconds,
                    "again": not done.worker,
                    "at": time.monotonic(),
                    "parent_kb": _memory("self"),
                    "worker_kb": max(workers, default=0),
                }
            ),
            flush=True,
        )

    how = How("processes" if jobs > 1 else "local", jobs)
    manifest = manifest_of("scale", "simulated", specs, batch)
    sweep(specs, Place(place), manifest, how, resume=True, progress=told)


def _lines(place: Path, trials: int, jobs: int, batch: int) -> tuple[subprocess.Popen[str], Iterator[Any]]:
    words = ["--child", str(place), "--trials", str(trials), "--jobs", str(jobs), "--batch", str(batch)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.scale", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    return process, map(json.loads, process.stdout)


def killed_and_gone_on_with(
    place: Path, trials: int, jobs: int, batch: int, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Run ``trials`` into ``place`` with a SIGKILL after a third of them; returns the measurements."""
    process, lines = _lines(place, trials, jobs, batch)
    done = 0
    for each in lines:
        done += each["trials"]
        if done >= trials / 3:
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    there = {each.name: each.stat().st_mtime_ns for each in (place / "trials").iterdir()}
    there = {name: when for name, when in there.items() if name.endswith(".parquet")}
    say(f"killed with {len(there)} batches written; going on")
    process, lines = _lines(place, trials, jobs, batch)
    told = [each for each in lines if not each["again"]]
    if process.wait():
        raise RuntimeError("the run that went on did not come to its end")
    now = {each.name: each.stat().st_mtime_ns for each in (place / "trials").iterdir()}
    return {
        "batches_at_kill": len(there),
        "of_these_run_again": sum(now[name] != when for name, when in there.items()),
        **_course(told),
    }


def _course(told: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Rate and memory in the first and the last fifth of a run, without the very first batches."""
    told = told[max(2, len(told) // 20) :]
    fifth = max(1, len(told) // 5)
    parts = {"first_fifth": told[:fifth], "last_fifth": told[-fifth:]}
    found: dict[str, Any] = {}
    for name, some in parts.items():
        trials = sum(each["trials"] for each in some)
        found[name] = {
            "cpu_ms_per_trial": round(1e3 * sum(each["cpu_s"] for each in some) / trials, 3),
            "parent_mb": round(statistics.median(each["parent_kb"] for each in some) / 1024, 1),
            "worker_mb": round(statistics.median(each["worker_kb"] for each in some) / 1024, 1),
        }
    first, last = found["first_fifth"], found["last_fifth"]
    seconds = told[-1]["at"] - told[0]["at"]
    return {
        **found,
        "memory_last_by_first": {
            each: round(last[f"{each}_mb"] / first[f"{each}_mb"], 3) if first[f"{each}_mb"] else None
            for each in ("parent", "worker")
        },
        "cpu_last_by_first": round(last["cpu_ms_per_trial"] / first["cpu_ms_per_trial"], 3),
        "cpu_ms_per_trial": round(
            1e3 * sum(each["cpu_s"] for each in told) / sum(each["trials"] for each in told), 3
        ),
        "trials_per_second": round(sum(each["trials"] for each in told[1:]) / seconds, 1)
        if seconds
        else None,
    }


# -- what is stored ----------------------------------------------------------------------------------


def sizes(place: Path, trials: int) -> dict[str, float]:
    """Bytes per trial, by table."""
    found = {
        name: sum(each.stat().st_size for each in (place / name).glob("*.parquet")) / trials
        for name in TABLES
    }
    return {name: round(size, 1) for name, size in (*found.items(), ("all", sum(found.values())))}


def beside_json_lines(trials: int = BATCH) -> dict[str, Any]:
    """One batch as Parquet and as JSON lines: bytes per trial, and CPU seconds to load all of it."""
    chunk = next(chunks(plan(trials), trials))
    sharing = Sharing()
    results = [sharing.run(TrialSpec(**{**vars(spec), "changes": True}))[0] for _, spec in chunk.trials]
    lines = "".join(json.dumps(each.as_json(), separators=(",", ":")) + "\n" for each in results).encode()
    made = {name: encoded(name, rows) for name, rows in tables(results).items() if rows}
    import pyarrow.parquet

    loads: dict[str, Callable[[], object]] = {
        "json_lines": lambda: [json.loads(line) for line in lines.splitlines()],
        "parquet": lambda: [pyarrow.parquet.read_table(io.BytesIO(data)) for data in made.values()],
        "parquet_to_pandas": lambda: [
            pyarrow.parquet.read_table(io.BytesIO(data)).to_pandas() for data in made.values()
        ],
        "one_column_of_parquet": lambda: pyarrow.parquet.read_table(
            io.BytesIO(made["trials"]), columns=["outcome"]
        ),
    }
    took = {name: [] for name in loads}  # type: dict[str, list[float]]
    for _ in range(7):
        for name, load in loads.items():
            began = time.process_time()
            load()
            took[name].append(time.process_time() - began)
    return {
        "trials": len(results),
        "json_lines_bytes_per_trial": round(len(lines) / len(results)),
        "parquet_bytes_per_trial": round(sum(map(len, made.values())) / len(results)),
        "times_smaller": round(len(lines) / sum(map(len, made.values())), 1),
        "load_ms": {name: round(1e3 * min(times), 2) for name, times in took.items()},
    }


def extrapolated(measured: dict[str, Any], bytes_per_trial: float) -> list[dict[str, Any]]:
    """What more trials would cost, if each costs as much as at the end of this run."""
    cost = max(measured["last_fifth"]["cpu_ms_per_trial"], measured["cpu_ms_per_trial"])
    return [
        {
            "trials": each,
            "core_hours": round(each * cost / 1e3 / 3600, 1),
            "gigabytes": round(each * bytes_per_trial / 1e9, 2),
        }
        for each in LARGER
    ]


def main() -> None:
    """Entry of ``python -m tools.scale``."""
    parser = argparse.ArgumentParser(prog="python -m tools.scale")
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        child(asked.child, asked.trials, asked.jobs, asked.batch)
        return
    place = ROOT / "out" / "scale"
    shutil.rmtree(place, ignore_errors=True)
    measured = killed_and_gone_on_with(place, asked.trials, asked.jobs, asked.batch)
    size = sizes(place, asked.trials)
    store = Store.opened(Place(str(place)))
    report = {
        "trials": asked.trials,
        "jobs": asked.jobs,
        "batch": asked.batch,
        **measured,
        "bytes_per_trial": size,
        "beside_json_lines": beside_json_lines(),
        "extrapolated": extrapolated(measured, size["all"]),
        "digest": store.digest(),
    }
    text = json.dumps(report, indent=2)
    (ROOT / "out" / "scale.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
