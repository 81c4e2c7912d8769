"""Exercises for a class: what is wrong here, and which mitigation helps?

An exercise is a YAML file (``schema.py``). ``questions.py`` asks it without naming the router's model, and
says whether an answer is right.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from siplab.experiments.exercises.schema import LEVELS, Exercise
from siplab.lab import documents, specs

_FOLDER: Final = Path(__file__).parent


@cache
def exercises() -> dict[str, Exercise]:
    """The exercises by their ids (the files' names), easy ones first. Raises ``UsageError``."""
    found = {path.stem: documents.read(path, Exercise) for path in sorted(_FOLDER.glob("*.yaml"))}
    return dict(sorted(found.items(), key=lambda each: (LEVELS.index(each[1].level), each[0])))


def get(name: str) -> Exercise:
    """An exercise by its id. Raises ``UsageError``."""
    found = exercises().get(name)
    if found is None:
        raise specs.unknown("exercise", name, exercises())
    return found
