"""No message of 60,000 bytes, whatever its shape, keeps a reader busy: a datagram must not block a queue."""

from __future__ import annotations

import random
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest

from tools.shapes import READERS, SHAPES, Reader, models

SIZE = 60_000
# Seconds of CPU. The slowest reader takes 0.1 s for the slowest shape; with quadratic time it would take
# many.
LIMIT = 5.0
MODELS = dict(models())


@contextmanager
def watchdog(what: str) -> Iterator[None]:
    """End code that takes too much CPU. The signal interrupts both ``re`` and Python loops."""

    def bark(number: int, frame: FrameType | None) -> None:
        pytest.fail(f"{what}: more than {LIMIT} s of CPU")

    before = signal.signal(signal.SIGVTALRM, bark)
    signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def read(reader: Reader, shape: str) -> None:
    wire = SHAPES[shape](SIZE)
    assert 0.3 * SIZE < len(wire) < 65_507
    with watchdog(shape):
        reader(wire)


@pytest.mark.parametrize("reader", READERS)
def test_readers(reader: str) -> None:
    for shape in SHAPES:
        read(READERS[reader], shape)


@pytest.mark.parametrize("shape", SHAPES)
def test_models(shape: str) -> None:
    """Each shape through some of the models; ``test_all_models`` has them all."""
    rng = random.Random(shape)
    for name in ["model correct", *rng.sample(list(MODELS), 4)]:
        read(MODELS[name], shape)


@pytest.mark.deep
@pytest.mark.parametrize("model", MODELS)
def test_all_models(model: str) -> None:
    for shape in SHAPES:
        read(MODELS[model], shape)


def test_the_watchdog_barks() -> None:
    """It ends a regular expression that backtracks; otherwise the tests above would hang instead of fail."""

    def backtrack() -> None:
        with watchdog("backtracking"):
            signal.setitimer(signal.ITIMER_VIRTUAL, 0.2)
            re.match(rb"(a+)+$", b"a" * 60 + b"b")

    with pytest.raises(pytest.fail.Exception, match="more than"):
        backtrack()
