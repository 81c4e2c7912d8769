"""Remembering what was read of a few bytes, in bounded memory, whoever sends them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

R = TypeVar("R")


class Read(dict[bytes, R], Generic[R]):
    """What was read, by what it was read of; reads what is not there. A hit costs no call of Python's."""

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
    """The decorated function's results are kept for ``size`` arguments of at most ``longest`` bytes each.

    What is read of an argument may take two hundred times its memory: of a long one it is read anew.
    """

    def decorate(read: Callable[[bytes], R]) -> Callable[[bytes], R]:
        return Read(read, size, longest).__getitem__

    return decorate
