"""How the time of everything that reads messages grows with their size, for shapes made to cost time.

``python -m tools.bench --only shapes`` runs this alone. Growth is the exponent: 1 is linear, 2 quadratic.

Each reading finds empty what the readers remember of lines that they have read. Otherwise a message that fits
into that memory costs less at its second reading, a larger one does not, and the step looks like growth.
"""

from __future__ import annotations

import functools
import gc
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from siplab.lab.wire import sip, syntax
from siplab.lab.wire.remembered import Read
from tools.shapes import READERS, SHAPES, Reader, models

SIZES: Final = (7500, 15_000, 30_000, 60_000)  # bytes
LIMIT: Final = 1.2
_LEAST: Final = (
    2e-3  # seconds at the largest size; below that the clock and the constant cost are all one sees
)
_AGAIN: Final = 12  # measurements of what seems to be above the limit; the least of each size counts
_SLOWEST: Final = 5
_REMEMBERING: Final = ("siplab.lab.wire.", "siplab.lab.sip.", "siplab.lab.probing.")


def growth(times: Sequence[float]) -> float:
    """The slope of log(time) over log(size), by least squares."""
    points = [(math.log(size), math.log(max(each, 1e-9))) for size, each in zip(SIZES, times, strict=True)]
    middle = [sum(column) / len(points) for column in zip(*points, strict=True)]
    above = sum((x - middle[0]) * (y - middle[1]) for x, y in points)
    return above / sum((x - middle[0]) ** 2 for x, _ in points)


def _memories() -> list[Callable[[], None]]:
    """What empties all that the readers of messages remember of what they have read."""
    found = [sip.PARTS_OF_LINES.clear, sip.CANONICAL_NAMES.clear, syntax.ACCEPTED.clear]
    for each in gc.get_objects():
        if isinstance(each, Read):
            found.append(each.clear)
        elif isinstance(each, functools._lru_cache_wrapper) and each.__module__.startswith(_REMEMBERING):
            found.append(each.cache_clear)
    return found


def _times(reader: Reader, wires: Sequence[bytes], memories: Sequence[Callable[[], None]]) -> list[float]:
    """Seconds of CPU for each; the garbage collector, whose time hangs on all that is alive, waits."""
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


def shapes_bench() -> dict[str, Any]:
    """Growth of each pair of reader and shape: the greatest, those above the limit, and the slowest pairs."""
    readers = {**READERS, **dict(models())}
    memories = _memories()
    rows: list[dict[str, Any]] = []
    for shape, made in SHAPES.items():
        wires = [made(size) for size in SIZES]
        for name, reader in readers.items():
            times = _times(reader, wires, memories)
            for _ in range(_AGAIN):
                if times[-1] < _LEAST or growth(times) <= LIMIT:
                    break
                times = [min(pair) for pair in zip(times, _times(reader, wires, memories), strict=True)]
            # What takes next to no time can't be said to grow.
            grown = growth(times) if times[-1] >= _LEAST else 0.0
            rows.append(
                {"reader": name, "shape": shape, "growth": round(grown, 2), "ms": round(times[-1] * 1e3, 1)}
            )
    return {
        "shapes": len(SHAPES),
        "readers": len(readers),
        "sizes": SIZES,
        "greatest_growth": max(each["growth"] for each in rows),
        "above_the_limit": [each for each in rows if each["growth"] > LIMIT],
        "slowest": sorted(rows, key=lambda each: -float(each["ms"]))[:_SLOWEST],
    }
