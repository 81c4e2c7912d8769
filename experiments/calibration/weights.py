"""Weighted choices: how the corpus decides, and nothing else.

Each table lists ``(weight, value)``. The tables of the corpus were written before the first comparison, from
the list of an ALG's known weak spots; they are not to be fitted to results.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice(random.Random):
    """Seeded dice. In a ``calm`` case most choices fall on the commonest value.

    Otherwise hardly a sequence of messages would get as far as its last.
    """

    calm = False

    def pick(self, table: Sequence[tuple[int, T]]) -> T:
        """One value of the table."""
        if self.calm and self.random() < 0.85:
            return max(table, key=lambda row: row[0])[1]
        return self.draw(table)

    def draw(self, table: Sequence[tuple[int, T]]) -> T:
        """One value of the table, calm or not."""
        return self.choices([value for _, value in table], [weight for weight, _ in table])[0]

    def chance(self, percent: float) -> bool:
        """True in that many of a hundred cases."""
        return self.random() * 100 < percent
