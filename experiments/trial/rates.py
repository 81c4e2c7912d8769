"""How often something happened, how certain that is, and how many trials make it more certain."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_Z: Final = 1.959964  # for a 95 % interval of the normal distribution
MOST: Final = 1_000_000


@dataclass(frozen=True)
class Rate:
    """``count`` of ``of``, with its 95 % Wilson score interval."""

    count: int
    of: int

    @property
    def value(self) -> float | None:
        """The rate; ``None`` if ``of`` is 0."""
        return self.count / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Lower and upper bound (Wilson 1927), assuming independent trials."""
        if not self.of:
            return None
        share, of = self.count / self.of, self.of
        centre = share + _Z**2 / (2 * of)
        spread = _Z * math.sqrt(share * (1 - share) / of + _Z**2 / (4 * of**2))
        scale = 1 + _Z**2 / of
        return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)

    @property
    def width(self) -> float:
        """Width of the interval; 1 if ``of`` is 0."""
        low, high = self.interval or (0.0, 1.0)
        return high - low


def percent(share: float) -> int:
    """A share in whole percent. It is 0 or 100 only if the share is exactly 0 or 1."""
    if 0 < share < 1:
        return min(99, max(1, round(share * 100)))
    return round(share * 100)


def trials_for_width(rate: float, width: float) -> int:
    """The fewest trials after which the interval around ``rate`` is no wider than ``width``.

    Both are between 0 and 1, ``width`` is above 0. At most a million.
    """
    return _fewest(lambda of: Rate(round(rate * of), of).width <= width)


def trials_to_tell_apart(one: float, other: float) -> int:
    """The fewest trials of each after which the intervals around two different rates no longer overlap."""
    low, high = sorted((one, other))

    def apart(of: int) -> bool:
        below, above = Rate(round(low * of), of).interval, Rate(round(high * of), of).interval
        return below is not None and above is not None and below[1] < above[0]

    return _fewest(apart)


def _fewest(enough: Callable[[int], bool]) -> int:
    """The least number that is enough, found by doubling, then halving."""
    most = 1
    while not enough(most) and most < MOST:
        most *= 2
    least = most // 2
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if enough(middle) else (middle, most)
    return min(most, MOST)
