"""Weighted choices, by which the corpus decides.

Each table lists ``(weight, value)``. The corpus's tables were written before the first comparison, from a
list of known weaknesses of ALGs. They must not be adjusted to results.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice(random.Random):
    """Seeded dice. In a ``calm`` case most choices are the most frequent value.

    Without calm cases hardly any sequence of messages would reach its last one.
    """

    calm = False

    def pick(self, table: Sequence[tuple[int, T]]) -> T:
        """One value of the table; in a calm case most often the most frequent one."""
        if self.calm and self.random() < 0.85:
            return max(table, key=lambda row: row[0])[1]
        return self.draw(table)

    def draw(self, table: Sequence[tuple[int, T]]) -> T:
        """One value of the table, calm or not."""
        return self.choices([value for _, value in table], [weight for weight, _ in table])[0]

    def chance(self, percent: float) -> bool:
        """True with this probability, in percent."""
        return self.random() * 100 < percent
