"""A cache of what was read from short byte strings; its memory is bounded, whoever sends them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

R = TypeVar("R")


class Read(dict[bytes, R], Generic[R]):
    """Results by the bytes that they were read from; a missing one is read. A hit calls no Python code."""

    def __init__(self, read: Callable[[bytes], R], size: int, longest: int) -> None:
        super().__init__()
        self._read, self._size, self._longest = read, size, longest

    def __missing__(self, text: bytes) -> R:
        found = self._read(text)
        if len(text) <= self._longest:
            if len(self) >= self._size:
                self.clear()
            self[text] = found
        return found


def remembered(size: int, longest: int) -> Callable[[Callable[[bytes], R]], Callable[[bytes], R]]:
    """Keep the decorated function's results for ``size`` arguments of at most ``longest`` bytes each.

    A result may take two hundred times the memory of its argument, so those of long ones are not kept.
    """

    def decorate(read: Callable[[bytes], R]) -> Callable[[bytes], R]:
        return Read(read, size, longest).__getitem__

    return decorate
