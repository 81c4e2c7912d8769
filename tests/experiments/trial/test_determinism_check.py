"""Is a plug-in the same each time? The check names the first packet that differs, and whose doing it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.command import one_line_error, siplab

# What a model writes into each message; the time and chance of the trial itself are the only ones to use.
_MODEL: Final = """
import datetime, os, random, time
from dataclasses import dataclass
from siplab.model import Card, Field, Model, Recipe

@dataclass(frozen=True)
class Mark:
    id: str
    def apply(self, message, context):
        message.fields.append(Field.make(b"X-Mark", str({
            "good": lambda: f"{context.now} {context.rng.random()}",
            "hash": lambda: list({"a", "b", "c", "d", "e", "f"}),
            "clock": lambda: int(time.time() / 86400),
            "date": lambda: datetime.datetime.now().year,
            "chance": random.random,
            "system": lambda: os.urandom(4).hex(),
            "count": lambda: id(context),
        }[self.id]()).encode()))

MODELS = [
    Model(f"{each}-mark", Card("It marks messages."), Recipe(last=(Mark(each),)))
    for each in ("good", "hash", "clock", "date", "chance", "system", "count")
]
"""
_DETECTOR: Final = """
import random
from dataclasses import dataclass
from siplab.detector import Finding, Item

@dataclass(frozen=True)
class Guess:
    def run(self, stage):
        return Finding("clean", detail=str(random.random()))

@dataclass(frozen=True)
class Call:
    def run(self, stage):
        stage.with_phone(source_port=int(random.random() * 10000) + 20000)
        stage.do(stage.phone, stage.phone.register)
        stage.idle(1)
        return Finding("clean")

ITEMS = [Item("guess", "It guesses.", Guess()), Item("any-port", "Any port.", Call())]
"""


def test_a_model_that_depends_on_what_it_must_not(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("tried", 7)
    path = tmp_path / "mine.py"
    path.write_text(_MODEL)
    done = siplab("models", "check", str(path), "--scenario", "register")
    assert done.returncode == 1, done.stderr
    *wrong, last = done.stdout.splitlines()
    assert last == "7 trials, 1 the same in two processes"
    for line, name in zip(wrong, ("hash", "clock", "date", "chance", "system", "count"), strict=True):
        assert line.startswith(
            f"{name}-mark__register__seed1: packet 2, 0.000 s after the beginning, 'X-Mark: "
        )
        assert line.endswith(f": the model '{name}-mark' of {path}")


def test_a_detector_that_depends_on_what_it_must_not(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(_DETECTOR)
    chosen = ("--models", "none", "--detector-path", str(path), "--check")
    done = siplab("score", "--detector", "guess,any-port,mirror", *chosen)
    assert done.returncode == 1, done.stderr
    *wrong, last = done.stdout.splitlines()
    guesses = [line for line in wrong if "guess" in line]
    ports = [line for line in wrong if "any-port" in line]
    assert all(
        line.endswith(f"no packet differs, but its finding: the detector 'guess' of {path}")
        for line in guesses
    )
    assert all(line.endswith(f": the detector 'any-port' of {path}") for line in ports)
    assert len(guesses) == len(ports) == len(wrong) / 2
    assert last == f"{3 * len(guesses)} trials, {len(guesses)} the same in two processes"


@pytest.mark.parametrize("detector", ["passive"])
def test_what_is_the_same_is_said(detector: str) -> None:
    done = siplab("score", "--detector", detector, "--models", "semicolon-loss", "--check")
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("the same in two processes\n")


def test_programs_are_never_the_same() -> None:
    one_line_error(siplab("score", "--client", "true", "--check"), "is a program", "wall clock")
