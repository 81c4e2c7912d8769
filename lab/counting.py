"""Numbers of things, in words."""

from __future__ import annotations

from typing import Final

_HISSING: Final = ("s", "x", "ch", "sh")


def number_of(count: int, word: str, form: str = "") -> str:
    """``1 trial``, ``2 trials``, ``2 batches``. ``form``: of the number, as ``format`` takes it."""
    return f"{count:{form}} {word if count == 1 else plural(word)}"


def plural(word: str) -> str:
    """The plural of a word: ``trials``, ``batches``, ``replies``, ``hypotheses``."""
    if word.endswith("sis"):
        return f"{word[:-2]}es"
    if word.endswith(_HISSING):
        return f"{word}es"
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}s"
