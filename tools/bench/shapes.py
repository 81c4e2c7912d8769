"""How the time to read a message grows with its size, for every reader, and shapes made to cost time.

Growth is the exponent: 1 is linear, 2 quadratic.

Each measurement starts with empty caches. Otherwise a message that fits into a reader's cache costs less at
its second reading and a larger one does not, and this step would look like growth.
"""

from __future__ import annotations

import functools
import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from siplab.lab.wire import sip, syntax
from siplab.lab.wire.remembered import Read
from tools.bench.parts import Part, Row
from tools.shapes import READERS, SHAPES, Reader, models

SIZES: Final = (7500, 15_000, 30_000, 60_000)  # bytes
LIMIT: Final = 1.2
_LEAST: Final = 2e-3  # seconds at the largest size: below that, clock resolution and constant costs dominate
# How often a pair that seems to be above the limit is measured, at once and again at the end: other load on
# the machine comes and goes. The least time at each size counts.
_AT_ONCE, _AT_THE_END = 4, 12
_SLOWEST: Final = 5
_REMEMBERING: Final = ("siplab.lab.wire.", "siplab.lab.sip.", "siplab.lab.probing.")


def growth(times: Sequence[float]) -> float:
    """The slope of log(time) over log(size), by least squares."""
    return statistics.linear_regression(
        [math.log(size) for size in SIZES], [math.log(max(each, 1e-9)) for each in times]
    ).slope


def _memories() -> list[Callable[[], None]]:
    """Functions that empty all caches of the readers."""
    found = [sip.PARTS_OF_LINES.clear, sip.CANONICAL_NAMES.clear, syntax.ACCEPTED.clear]
    for each in gc.get_objects():
        if isinstance(each, Read):
            found.append(each.clear)
        elif isinstance(each, functools._lru_cache_wrapper) and each.__module__.startswith(_REMEMBERING):
            found.append(each.cache_clear)
    return found


def _times(reader: Reader, wires: Sequence[bytes], memories: Sequence[Callable[[], None]]) -> list[float]:
    """CPU seconds for each message. The garbage collector is off, as its time depends on all live objects."""
    row = []
    for wire in wires:
        for forget in memories:
            forget()
        gc.collect()
        gc.disable()
        try:
            began = time.process_time()
            reader(wire)
            row.append(time.process_time() - began)
        finally:
            gc.enable()
    return row


@functools.lru_cache(maxsize=1)  # pairs with the same shape are measured one after the other
def _wires(shape: str) -> list[bytes]:
    return [SHAPES[shape](size) for size in SIZES]


class _Pair:
    """A reader and a shape, with the least time measured at each size."""

    def __init__(self, name: str, reader: Reader, shape: str) -> None:
        self.name, self.shape = name, shape
        self._reader = reader
        self._times = [math.inf] * len(SIZES)

    @property
    def milliseconds(self) -> float:
        """The time at the largest size."""
        return self._times[-1] * 1e3

    @property
    def growth(self) -> float:
        """The exponent; 0 if the time is too short to tell."""
        return growth(self._times) if self._times[-1] >= _LEAST else 0.0

    def measure(self, memories: Sequence[Callable[[], None]], most: int) -> None:
        """Measure once, and up to ``most`` times while the growth seems to be above the limit."""
        wires = _wires(self.shape)
        for _ in range(most):
            now = _times(self._reader, wires, memories)
            self._times = [min(pair) for pair in zip(self._times, now, strict=True)]
            if self.growth <= LIMIT:
                return

    def row(self) -> dict[str, Any]:
        """The results as they are printed."""
        return {
            "reader": self.name,
            "shape": self.shape,
            "growth": round(self.growth, 2),
            "ms": round(self.milliseconds, 1),
        }


def measure() -> dict[str, Any]:
    """Over all pairs of reader and shape: the greatest growth, those above the limit, and the slowest."""
    readers = {**READERS, **dict(models())}
    memories = _memories()
    pairs = [_Pair(name, reader, shape) for shape in SHAPES for name, reader in readers.items()]
    for pair in pairs:
        pair.measure(memories, _AT_ONCE)
    for pair in pairs:
        if pair.growth > LIMIT:
            pair.measure(memories, _AT_THE_END)
    told = [pair.row() for pair in pairs]
    return {
        "shapes": len(SHAPES),
        "readers": len(readers),
        "sizes": SIZES,
        "greatest_growth": max(pair.growth for pair in pairs),
        "above_the_limit": [row for row, pair in zip(told, pairs, strict=True) if pair.growth > LIMIT],
        "slowest": sorted(told, key=lambda each: -float(each["ms"]))[:_SLOWEST],
    }


def rows(found: dict[str, Any]) -> Iterator[Row]:
    slowest = found["slowest"][0]
    yield Row(
        f"hostile messages: {found['shapes']} shapes x {found['readers']} readers",
        f"time grows with n^{found['greatest_growth']:.2f} at most",
        f"{len(found['above_the_limit'])} above n^{LIMIT}; "
        f"slowest {slowest['ms']} ms for {SIZES[-1]:,} bytes",
    )


PART: Final = Part("shapes", measure, rows)
