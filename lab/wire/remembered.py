"""Remembering what was read of a few bytes, in bounded memory, whoever sends them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

R = TypeVar("R")


def remembered(size: int, longest: int) -> Callable[[Callable[[bytes], R]], Callable[[bytes], R]]:
    """The decorated function's results are kept for ``size`` arguments of at most ``longest`` bytes each.

    What is read of an argument may take two hundred times its memory: of a long one it is read anew.
    """

    def decorate(read: Callable[[bytes], R]) -> Callable[[bytes], R]:
        kept = lru_cache(maxsize=size)(read)

        @wraps(read)
        def reader(text: bytes) -> R:
            return kept(text) if len(text) <= longest else read(text)

        return reader

    return decorate
