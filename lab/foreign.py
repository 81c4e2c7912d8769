"""Guards around code that users bring: it may raise anything, say anything, and print anywhere."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Final

from siplab.lab import interrupts
from siplab.lab.errors import UsageError

# The most characters of a line, and of a text, that are taken from users' code.
LONGEST_LINE: Final = 300
LONGEST_TEXT: Final = 2_000


def clipped(text: str, longest: int = LONGEST_TEXT) -> str:
    """The text itself, as a plain ``str``, or its beginning and an ellipsis."""
    plain = str.__str__(text)
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


def one_line(text: str) -> str:
    """A text fit to stand in an error: bounded, and without line breaks."""
    return clipped(" ".join(clipped(text, 10 * LONGEST_LINE).split()), LONGEST_LINE)


def told(error: BaseException) -> str:
    """``ValueError: why``, in one line, even if making the error's own text fails."""
    try:
        text = str(error)
    except BaseException as another:
        if interrupts.is_users(another):
            raise
        text = "it has no text"
    name = type(error).__name__
    return one_line(f"{name}: {text}" if text.strip() else name)


@contextmanager
def blamed(origin: str) -> Iterator[None]:
    """Anything raised within, except the user's Ctrl-C, becomes a ``UsageError`` that names ``origin``."""
    try:
        yield
    except UsageError:
        raise
    except BaseException as error:
        if interrupts.is_users(error):
            raise
        raise UsageError(f"{origin}: {told(error)}") from error


class _Aside(io.TextIOBase):
    """Writes to standard error; closing this does not close the real one."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


@contextmanager
def printing_aside() -> Iterator[None]:
    """Output that is printed within goes to standard error: standard output is for results."""
    with redirect_stdout(_Aside()):
        yield
