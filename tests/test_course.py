"""docs/course.md: each command of the lesson shows what the page says that it shows."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

from siplab.experiments import exercises

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = (ROOT / "docs" / "course.md").read_text(encoding="utf-8")
# A command, and after it one or two pieces of its output.
COMMANDS: Final = re.findall(r"^    (siplab .*)\n\nShown: `([^`]+)`(?: and `([^`]+)`)?", PAGE, re.MULTILINE)
PLAY: Final = """
import json, sys
from siplab.experiments.commands.cli import app
for words in json.loads(sys.argv[1]):
    app(words, standalone_mode=False)
    print("\\0", flush=True)
"""


def test_each_command_of_the_lesson_shows_what_the_page_says(tmp_path: Path) -> None:
    assert len(COMMANDS) == len(re.findall(r"^    siplab", PAGE, re.MULTILINE)) > 12
    words = [shlex.split(command)[1:] for command, *_ in COMMANDS]
    for each in words:  # laptops have no other world
        each += ["--world", "simulated"] if each[0] == "call" else []
    done = subprocess.run(
        [sys.executable, "-c", PLAY, json.dumps(words)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for (command, *shown), text in zip(COMMANDS, done.stdout.split("\0\n")[:-1], strict=True):
        for each in shown:
            assert each in text, command
    assert (tmp_path / "one-way.html").stat().st_size > 10_000


def test_the_exercises_of_the_lesson_are_there() -> None:
    named = re.findall(r"#exercise=([\w-]+)&seed=\d+", PAGE)
    assert len(named) == 3
    assert set(named) <= set(exercises.exercises())
