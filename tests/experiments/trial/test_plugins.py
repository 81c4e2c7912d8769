"""Code that users bring: whatever it does, its trial is invalid or its verdict an error; the run goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from siplab.experiments.trial import runner
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab import foreign
from tests.command import Done, one_line_error, siplab

Record = Callable[[str, object], None]
LIMIT: Final = 3  # seconds: what starts a process takes one on a busy machine

_HEAD: Final = """
import os, signal, sys, threading, time, re
from dataclasses import dataclass
from siplab.detector import Finding, Item
from siplab.model import Card, Model, Recipe
from siplab.scenario import Check

class Evil(str):
    def __eq__(self, other): raise RuntimeError("eq")
    __hash__ = str.__hash__

class Mute(Exception):
    def __str__(self): raise SystemExit(0)
"""
_MODEL: Final = """
@dataclass(frozen=True)
class Do:
    body: str
    def apply(self, message, context):
        exec(self.body)
MODELS = [Model(name, Card("It misbehaves."), Recipe(last=(Do(body),))) for name, body in BODIES.items()]
"""
_ITEM: Final = """
@dataclass(frozen=True)
class Do:
    body: str
    def run(self, stage):
        found = {"stage": stage}
        exec(self.body, globals(), found)
        return found.get("answer")
ITEMS = [Item(name, "It misbehaves.", Do(body)) for name, body in BODIES.items()]
"""

# What a model does, and what the trial's error says of it; empty: the trial is as good as any.
MODELS: Final = {
    "sys-exit": ("sys.exit(0)", "the model raised SystemExit: 0"),
    "generator-exit": ("raise GeneratorExit", "the model raised GeneratorExit"),
    "interrupt": ("raise KeyboardInterrupt", "the model raised KeyboardInterrupt"),
    "signal": ("os.kill(os.getpid(), signal.SIGINT)", ""),
    "mute": ("raise Mute", "the model raised Mute: it has no text"),
    "talkative": ("raise ValueError('x' * 100_000)", "the model raised ValueError: xxx"),
    "drops": ("context.drop('x' * 100_000)", ""),
    "prints": ("print('hello')", ""),
    "closes": ("sys.stdout.close()", ""),
    "os-exit": ("os._exit(0)", "the trial's process died (exit status 0)"),
    "kills-itself": ("os.kill(os.getpid(), signal.SIGKILL)", "the trial's process died (SIGKILL)"),
    "loops": ("while True: pass", f"it took more than {LIMIT} s of CPU"),
    "backtracks": ("re.match('(a+)+$', 'a' * 40 + 'b')", f"it took more than {LIMIT} s of CPU"),
    "sleeps": ("time.sleep(1000)", f"it did nothing for {LIMIT} s"),
    "stops": ("os.kill(os.getpid(), signal.SIGSTOP)", "its process was stopped"),
    "leaves-a-thread": (
        "threading.Thread(target=time.sleep, args=(1000,), name='idler', daemon=True).start()",
        "it left a thread behind: idler",
    ),
}
# What a detector does, and the detail of its finding, or what the trial's error says ("invalid: ...").
DETECTORS: Final = {
    "nothing": ("pass", "it returned nothing, not a Finding"),
    "a-text": ("answer = 'alg'", "it returned str, not a Finding"),
    "a-class": ("answer = Finding", "it returned type, not a Finding"),
    "no-verdict": ("answer = Finding(None)", "its verdict is None, none of alg, clean"),
    "a-list-as-verdict": ("answer = Finding(['alg'])", "its verdict is list, none of"),
    "unknown-verdict": ("answer = Finding('guilty')", "its verdict is 'guilty', none of"),
    "long-verdict": ("answer = Finding('x' * 100_000)", "its verdict is 'xxx"),
    "hostile-verdict": ("answer = Finding(Evil('alg'))", "it raised RuntimeError: eq"),
    "changed-text": ("answer = Finding('alg', 'Via')", "'changed' of its finding is not a tuple of texts"),
    "changed-numbers": ("answer = Finding('alg', (1, 2))", "'changed' of its finding"),
    "changed-nothing": ("answer = Finding('alg', None)", "'changed' of its finding"),
    "detail-bytes": ("answer = Finding('alg', (), b'x')", "the detail of its finding is bytes"),
    "faults-set": ("answer = Finding('alg', faults={'a'})", "'faults' of its finding"),
    "evidence-number": ("answer = Finding('alg', evidence=5)", "'evidence' of its finding"),
    "raises": ("raise ValueError('no')", "it raised ValueError: no"),
    "sys-exit": ("sys.exit(0)", "invalid: the detector raised SystemExit: 0"),
    "interrupt": ("raise KeyboardInterrupt", "invalid: the detector raised KeyboardInterrupt"),
    "spoils-the-stage": ("stage.world.trace = None", "invalid: AttributeError: "),
}
# What a scenario does, and what the trial's error says.
SCENARIOS: Final = {
    "raises": ("raise ValueError('no')", "the scenario raised ValueError: no"),
    "sys-exit": ("sys.exit(0)", "the scenario raised SystemExit: 0"),
    "no-name": ("stage.check(None, True, 'x')", "stage.check takes a text as name, not NoneType"),
    "no-truth": ("stage.check('a', None, 'x')", "stage.check takes True or False as passed, not NoneType"),
    "about-nothing": ("stage.check('a', True, 'x', about='fun')", "stage.check is about signalling or media"),
    "appends": ("stage.checks.append('x')", "no longer a list of checks"),
    "no-checks": ("stage.checks = None", "no longer a list of checks"),
    "no-role": ("stage.host('oracle')", "has no host with role 'oracle'"),
}


def written(folder: Path, kind: str, table: dict[str, tuple[str, str]]) -> tuple[str, ...]:
    path = folder / f"{kind}s.py"
    bodies = {name: body for name, (body, _) in table.items()}
    path.write_text(f"{_HEAD}\nBODIES = {bodies!r}\n{_MODEL if kind == 'model' else _ITEM}")
    return (str(path),)


def test_a_model_cannot_end_the_run(tmp_path: Path, record_property: Record) -> None:
    record_property("tried", len(MODELS))
    paths = written(tmp_path, "model", MODELS)
    specs = [TrialSpec("home", each, "register", model_paths=paths) for each in (*MODELS, "none")]
    results = runner.run_all(specs, world="simulated", jobs=2, limit=LIMIT)
    assert [each.spec for each in results] == specs
    assert (results[-1].outcome, results[-1].errors) == ("pass", [])
    for result, (_, error) in zip(results, MODELS.values(), strict=False):
        _judge(result, error)


def test_a_detector_may_return_anything(tmp_path: Path, record_property: Record) -> None:
    record_property("tried", len(DETECTORS))
    paths = written(tmp_path, "detector", DETECTORS)
    specs = [TrialSpec("home", "none", detector=each, detector_paths=paths) for each in DETECTORS]
    for result, (_, said) in zip(runner.run_all(specs, world="simulated"), DETECTORS.values(), strict=True):
        if said.startswith("invalid: "):
            _judge(result, said.removeprefix("invalid: "))
            continue
        assert result.errors == []
        assert result.finding is not None
        assert result.finding.verdict == "error"
        assert said in result.finding.detail
        assert len(result.finding.detail) <= foreign.LONGEST_TEXT
        json.dumps(result.as_json())


def test_a_scenario_may_do_anything(tmp_path: Path, record_property: Record) -> None:
    record_property("tried", len(SCENARIOS))
    paths = written(tmp_path, "scenario", SCENARIOS)
    specs = [TrialSpec("home", "none", each, scenario_paths=paths) for each in SCENARIOS]
    for result, (_, error) in zip(runner.run_all(specs, world="simulated"), SCENARIOS.values(), strict=True):
        _judge(result, error)


def test_what_is_right_is_kept_and_clipped(tmp_path: Path) -> None:
    body = "answer = Finding('alg', ['Via', 'y' * 100_000], 'x' * 100_000)"
    paths = written(tmp_path, "detector", {"wordy": (body, "")})
    spec = TrialSpec("home", "none", detector="wordy", detector_paths=paths)
    result, trace = runner.run_traced(spec, "simulated")
    assert result.finding is not None
    assert result.finding.verdict == "alg"
    assert result.finding.changed[0] == "Via"
    assert len(result.finding.changed[1]) == foreign.LONGEST_LINE
    assert len(result.finding.detail) == foreign.LONGEST_TEXT
    assert trace.records == []


def _judge(result: TrialResult, error: str) -> None:
    """The trial is invalid, for one bounded line that says ``error``; or nothing is wrong with it."""
    if not error:
        assert result.errors == [], result.spec.name
        return
    assert result.outcome == "error", result.spec.name
    assert error in " ".join(result.errors), (result.spec.name, result.errors)
    assert all(len(each) < 2 * foreign.LONGEST_LINE and "\n" not in each for each in result.errors)


# -- the same, as people meet it -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("top", "words"),
    [
        ("sys.exit(0)", "SystemExit: 0"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("os._exit(0)", "importing it ends the process, with exit status 0"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "importing it ends the process, by signal 9"),
        ("raise Mute", "Mute: it has no text"),
        ("MODELS = 5", "TypeError"),
        ("MODEL = Model(5, Card('x.'))", "model id '5' must be"),
        ("MODEL = Model('a', None)", "its card is of NoneType"),
        ("MODEL = Model('a', Card(None))", "field 'summary' of its card must be a text"),
        ("MODEL = Model('a', Card('x.'), None)", "not a Recipe"),
        ("MODEL = Model('a', Card('x.'), Recipe(policy={'no': 1}))", "TypeError"),
        ("MODEL = Model('a', Card('x.'), Recipe(nat={'no': 1}))", "unknown NAT setting 'no'"),
        ("MODEL = Model('a', Card('x.'), Recipe(last=(5,)))", "int is no step"),
    ],
)
def test_a_module_that_is_none_is_one_line(tmp_path: Path, top: str, words: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(f"{_HEAD}\n{top}\n")
    # What ends a process is tried in a fork first, but not where other tests have left threads behind.
    process = top.startswith("os.")
    arguments = ("call", "--model", "none", "--scenario", "register", "--model-path", str(path))
    one_line_error(siplab(*arguments, process=process), "mine.py", words)


@pytest.mark.parametrize(
    ("top", "words"),
    [
        ("ITEM = Item(5, 'x.', None)", "detector id 5 must be"),
        ("ITEM = Item('a', None, None)", "its summary must be a text"),
        ("ITEM = Item('a', 'x.', None)", "its settings must be an instance of a dataclass"),
        ("ITEM = Item('a', 'x.', Finding('alg'))", "no method run(stage)"),
        ("ITEMS = 5", "TypeError"),
    ],
)
def test_an_item_that_is_none_is_one_line(tmp_path: Path, top: str, words: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(f"{_HEAD}\n{top}\n")
    done = siplab("call", "--model", "none", "--detector", "mirror", "--detector-path", str(path))
    one_line_error(done, "mine.py", words)


def test_the_command_comes_to_its_end(tmp_path: Path) -> None:
    """A table, JUnit, and exit status 1; what plug-ins print is not among the results."""
    table = {
        "quits": ("print('mine'); sys.exit(0)", ""),
        "good": ("print('mine'); answer = Finding('clean')", ""),
    }
    (path,) = written(tmp_path, "detector", table)
    done = score(path, tmp_path, "quits", "good")
    assert done.returncode == 1
    assert "quits" in done.stdout
    assert "mine" not in done.stdout
    assert "mine" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "junit.xml").read_text().count("<testsuite ") == 2
    assert score(path, tmp_path, "good").returncode == 0


def score(path: str, folder: Path, *detectors: str) -> Done:
    chosen = [word for each in detectors for word in ("--detector", each)]
    return siplab(
        *("score", "--models", "semicolon-loss", *chosen, "--detector-path", path, "--world", "simulated"),
        *("--junit", str(folder / "junit.xml")),
        process=True,
    )
