"""The files that a program's verdict depends on: those in its command line, and why there may be more."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from siplab.experiments.programs import placeholders

# Options of shells and interpreters after which code follows, or the name of a module somewhere.
_CODE: Final = ("-c", "-m", "-e")


@dataclass(frozen=True)
class Inputs:
    """``files``: those that are named. ``unknowable``: why there may be others; empty if there can't be."""

    files: tuple[Path, ...]
    unknowable: str


def of(name: str, command: tuple[str, ...], environment: dict[str, str], here: str) -> Inputs:
    """The inputs of a program on this machine, called ``name``."""
    files: list[Path] = []
    reason = ""
    texts = [*command, *environment.values()]
    for path in _paths([text.replace("{here}", here) for text in texts]):
        if path.is_file():
            files.append(path)
        elif path.is_dir() and not reason:
            reason = f"the {name} is given the folder {path}"
    found = shutil.which(command[0].replace("{here}", here))
    if found is not None:
        files.append(Path(found))
    if not reason and any(each in _CODE for each in command[1:]):
        reason = f"the {name}'s command line may have code in it"
    return Inputs(tuple(dict.fromkeys(files)), reason)


def _paths(words: list[str]) -> Iterator[Path]:
    """The paths that words may name: ``x.cfg``, ``--config=x.cfg``."""
    for word in words:
        for text in dict.fromkeys((word, word.rpartition("=")[2])):
            # A name that is known only in a trial can't be a file yet.
            later = any(f"{{{each}}}" in text for each in placeholders.PLAIN)
            if "\0" not in text and not later and ("/" in text or Path(text).is_file()):
                yield Path(text)
