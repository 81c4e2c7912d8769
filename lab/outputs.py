"""Writing files: at any moment the old one or the new one is there, never a part of one."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from siplab.lab.errors import OutputError


@contextmanager
def replaced(path: Path) -> Iterator[IO[bytes]]:
    """A file to write into, which replaces ``path`` when all is written; a pipe is written to directly.

    Raises ``OutputError`` that names ``path`` and the reason.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe, a terminal
            with path.open("wb") as file:
                yield file
            return
        target = path.resolve()  # what a link leads to
        beside = _beside(target)
        try:
            with beside.open("xb") as file:
                yield file
            beside.replace(target)
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror or error}") from None


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8. Raises ``OutputError``."""
    with replaced(path) as file:
        file.write(text.encode(errors="backslashreplace"))  # half a surrogate pair is no letter


def check_writable(path: Path) -> None:
    """Find out whether ``path`` can be written, before hours of trials. Raises ``OutputError``."""
    if path.is_dir():
        raise OutputError(f"{path}: a folder is there, not a file")
    try:
        if path.exists() and not path.is_file():
            with path.open("ab"):
                return
        beside = _beside(path.resolve())
        with beside.open("xb"):
            beside.unlink()
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror or error}") from None


def _beside(path: Path) -> Path:
    # A name of fixed length, because the file's own name may have the greatest length. Without the process
    # id: two processes that write into one folder may have the same, each in a PID namespace of its own.
    return path.with_name(f".siplab-{secrets.token_hex(8)}.part")
