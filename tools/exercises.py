"""``python -m tools.exercises --write``: write the trainer's sheet, docs/exercises.md."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

from siplab.experiments.exercises import exercises
from siplab.experiments.exercises.schema import Exercise
from siplab.experiments.output import commands
from tools.pages import DOCS, MadePart


def table() -> str:
    """The sheet's list and solutions."""
    found = exercises()
    lines = ["| | exercise | level | address |", "|---|---|---|---|"]
    for number, (name, each) in enumerate(found.items(), 1):
        lines.append(f"| {number} | {each.title} | {each.level} | `#exercise={name}&seed=1` |")
    for number, (name, each) in enumerate(found.items(), 1):
        lines += ["", *_solution(number, name, each)]
    return "\n".join(lines) + "\n"


def _solution(number: int, name: str, exercise: Exercise) -> Iterator[str]:
    cures = ", ".join(f"`{each}`" for each in exercise.remedies.cure) or "none of those offered"
    useless = ", ".join(f"`{each}`" for each in exercise.remedies.useless)
    yield f"### {number}. {exercise.title}"
    yield ""
    yield f"*{name}, {exercise.level}.* {exercise.story}"
    yield ""
    yield f"- What is wrong: {exercise.causes.right} The model is `{exercise.trial.model}`."
    yield f"- What fails first: `{exercise.fails}`."
    yield f"- What helps: {cures}. What does not: {useless}."
    yield from (f"- Hint {at}: {hint}" for at, hint in enumerate(exercise.hints, 1))
    yield f"- In the terminal: `{commands.call(exercise.trial.spec(1))}`"
    yield ""
    yield exercise.solution


PART: Final = MadePart(DOCS / "exercises.md", "exercises", table, "exercises")

if __name__ == "__main__":
    sys.exit(PART.main())
