"""Whatever is killed, stopped, filled or damaged in a run: what is done is not lost, and is what it was."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from siplab.experiments.library import experiment
from siplab.experiments.output import journal
from siplab.experiments.trial import runner
from tests.conftest import ROOT
from tests.lab.worlds import processes

# Plug-ins that misbehave in some of their trials, by the trial's own chance: in the same ones each time.
_HOSTILE: Final = """
import os, sys
from dataclasses import dataclass
from siplab.model import CORRECT_STEPS, Card, Model, Recipe

@dataclass(frozen=True)
class Perhaps:
    often: float
    how: str
    def apply(self, message, context):
        if context.rng.random() < self.often:
            exec(self.how)

MODELS = [
    Model("exits", Card("It ends Python."), Recipe(CORRECT_STEPS, last=(Perhaps(0.15, "sys.exit(0)"),))),
    Model("dies", Card("It ends the process."), Recipe(CORRECT_STEPS, last=(Perhaps(0.02, "os._exit(0)"),))),
]
"""
_TEXT: Final = """
id: chaos
models: [none, correct, semicolon-loss, exits, dies]
scenarios: [register]
repeat: {repeat}
world: {world}
"""
# A disk that is full: no file may be larger than that, and the journal gets larger.
_FULL: Final = 12_000
_LIMITED: Final = (
    "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2); "
    "sys.argv[:2] = ['siplab']; from siplab.__main__ import main; main()"
)


@dataclass
class Chaos:
    """A run into one folder that is disturbed again and again."""

    rng: random.Random
    folder: Path
    arguments: tuple[str, ...]
    reference: dict[str, dict[str, Any]]  # what an undisturbed run gives, by the name of the trial
    trials: int

    def disturb(self) -> None:
        """Go on with the run, and do something to it; then look at what is left of it."""
        before = self.kept()
        at = len(self.lines()) + self.rng.randrange(1, self.trials // 2)
        how = self.rng.choice(
            [self.kill, self.interrupt, self.kill_a_worker, self.stop_a_worker, self.fill, self.damage]
        )
        how(at)
        after = self.kept()
        lost = set(before) - set(after)
        assert len(lost) <= (how == self.damage), (how, lost)
        self.check(after)

    def check(self, rows: dict[str, dict[str, Any]]) -> None:
        """What is kept is what an undisturbed run gives, or names its loss."""
        for name, row in rows.items():
            if row != self.reference[name]:
                (error,) = row["errors"]
                assert error.startswith(
                    ("the trial's process died (SIGKILL)", "the trial was ended: its process was stopped")
                )

    def kill(self, at: int) -> None:
        assert self.after_lines(at, lambda each: each.kill()) in (-signal.SIGKILL, 1)

    def interrupt(self, at: int) -> None:
        assert self.after_lines(at, lambda each: each.send_signal(signal.SIGINT)) in (130, 1)

    def kill_a_worker(self, at: int) -> None:
        assert self.after_lines(at, lambda each: self.to_a_worker(each, signal.SIGKILL)) == 1

    def stop_a_worker(self, at: int) -> None:
        assert self.after_lines(at, lambda each: self.to_a_worker(each, signal.SIGSTOP)) == 1

    def fill(self, at: int) -> None:
        command = [sys.executable, "-c", _LIMITED, str(_FULL)]
        assert self.after_lines(self.trials * 9, lambda each: None, command) in (1, 2)

    def damage(self, at: int) -> None:
        """A line in the middle is no longer one."""
        lines = self.lines()
        if lines:
            number = self.rng.randrange(len(lines))
            lines[number] = lines[number][: len(lines[number]) // 2]
            (self.folder / journal.NAME).write_bytes(b"".join(line + b"\n" for line in lines))

    def to_a_worker(self, program: subprocess.Popen[bytes], number: signal.Signals) -> None:
        found = processes.children(program.pid)
        if found:
            os.kill(self.rng.choice(found).pid, number)

    def after_lines(
        self, number: int, act: Callable[[subprocess.Popen[bytes]], None], command: list[str] | None = None
    ) -> int:
        """Go on with the run, ``act`` when its journal has so many lines, and wait for its exit status."""
        program = subprocess.Popen(
            [*(command or [sys.executable, "-m", "siplab"]), *self.arguments, "--resume"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        while program.poll() is None and len(self.lines()) < number:
            time.sleep(0.002)
        if program.poll() is None:
            act(program)
        _, err = program.communicate(timeout=900)
        assert b"Traceback" not in err, err.decode()
        return program.returncode

    def lines(self) -> list[bytes]:
        path = self.folder / journal.NAME
        return path.read_bytes().split(b"\n")[:-1] if path.exists() else []

    def kept(self) -> dict[str, dict[str, Any]]:
        """The results that the journal has, by the names of their trials."""
        path = self.folder / journal.NAME
        rows, _ = journal.results_in(path) if path.exists() else ([], 0)
        return {f"{row['model']} {row['seed']}": _bare(row) for row in rows}


def _bare(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("outcome", "checks", "errors", "duration") if name in row}


def play(folder: Path, world: str, seed: int, repeat: int, rounds: int = 6) -> None:
    """A run of five times ``repeat`` trials, disturbed, and at last left in peace."""
    mine, file = folder / "hostile.py", folder / "chaos.yaml"
    mine.write_text(_HOSTILE)
    file.write_text(_TEXT.format(repeat=repeat, world=world))
    specs = experiment.load(str(file)).trials((str(mine),))
    results = runner.run_all(specs, world=world, jobs=2)
    reference = {f"{each.spec.model} {each.spec.seed}": _bare(each.as_json()) for each in results}
    outcomes = [each["outcome"] for each in reference.values()]
    assert {"pass", "error"} <= set(outcomes)
    out = folder / "out"
    arguments = (
        *("run", str(file), "--model-path", str(mine), "--jobs", "2"),
        *("--trial-timeout", "4", "--out", str(out)),
    )
    chaos = Chaos(random.Random(seed), out, arguments, json.loads(json.dumps(reference)), len(specs))
    for _ in range(rounds):
        chaos.disturb()
    # In peace: all that is invalid now is so by itself.
    assert chaos.after_lines(len(specs) * 99, lambda each: None) == 1
    data = json.loads((out / "results.json").read_text())
    assert len(data["trials"]) == len(specs)
    assert [_bare(row) for row in data["trials"]] == [chaos.reference[name] for name in reference]
    assert chaos.kept() == chaos.reference


@pytest.mark.parametrize("seed", [1, 2])
def test_a_run_that_is_disturbed(tmp_path: Path, seed: int) -> None:
    play(tmp_path, "simulated", seed, repeat=8, rounds=3)


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(3, 13))
def test_a_long_run_that_is_disturbed(tmp_path: Path, seed: int) -> None:
    play(tmp_path, "simulated", seed, repeat=60)


@pytest.mark.deep
@pytest.mark.needs("emulated")
@pytest.mark.parametrize("seed", range(13, 23))
def test_a_long_run_that_is_disturbed_over_the_kernel(tmp_path: Path, seed: int) -> None:
    play(tmp_path, "emulated", seed, repeat=60)
