"""Adds to a failed test's report what happened in its labs: ladder with changed bytes, programs, files."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from siplab.experiments.pytest_plugin.labs import Lab, Labs
from siplab.experiments.pytest_plugin.observed import Observed
from siplab.lab.counting import number_of

# How many lines of a ladder, and of a program's output, a report shows. The files have all of them.
_LADDER: Final = 300
_PRINTED: Final = 20
_COMMAND: Final = 100  # characters of a command line


def folder_of(request: pytest.FixtureRequest, out: str | None) -> Path:
    """The folder for the files of a failed test; ``out``: the parent folder for all tests."""
    if out is None:
        tmp_path: Path = request.getfixturevalue("tmp_path")
        return tmp_path / "siplab"
    return request.config.invocation_params.dir / out / _file_name(request.node.nodeid)


def describe(failure: pytest.TestReport, labs: Labs, folder: Path) -> None:
    """Add to a failed test's report what happened in its labs and trials, and write the files."""
    for number, each in enumerate(labs.made, 1):
        title = f"siplab {number}: {each.name}"
        try:
            failure.sections += [(f"{title}: {what}", text) for what, text in _sections(each, number, folder)]
        except Exception as error:  # the test's own failure must not be hidden by this one
            failure.sections.append((title, f"no report: {type(error).__name__}: {error}"))


def _file_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.=+-]+", "_", text)[:150]


def _sections(made: Observed, number: int, folder: Path) -> Iterator[tuple[str, str]]:
    folder.mkdir(parents=True, exist_ok=True)
    yield "ladder and changes", _shortened(made.ladder().splitlines(), _LADDER)
    if isinstance(made, Lab) and made.programs:
        yield "programs", "\n".join(_programs(made))
    stem = f"{number}-{_file_name(made.name)}"
    files = [made.pcap(folder / f"{stem}.pcapng"), made.write_trace(folder / f"{stem}.trace.jsonl")]
    files.append(_page(made, folder / f"{stem}.html"))
    yield "files", "\n".join(str(each) for each in files)


def _page(made: Observed, path: Path) -> Path:
    """The same as a page for a browser."""
    from siplab.experiments.output import book  # imported here, since that takes longer than most reports

    path.write_text(book.of_one(made.result, made.trace), encoding="utf-8")
    return path


def _programs(lab: Lab) -> Iterator[str]:
    for each in lab.programs:
        status = "still running" if each.status is None else f"exit status {each.status}"
        line = textwrap.shorten(shlex.join(each.command), _COMMAND, placeholder=" ...")
        yield f"{each.host}: {line}: {status}, {each.seconds:g} s"
        for stream, text in (("stdout", each.stdout), ("stderr", each.stderr)):
            lines = text.splitlines()
            if len(lines) > _PRINTED:
                yield f"  {stream}: ... {number_of(len(lines) - _PRINTED, 'line')} before"
            yield from (f"  {stream}: {line}" for line in lines[-_PRINTED:])


def _shortened(lines: list[str], most: int) -> str:
    if len(lines) > most:
        half = most // 2
        lines = [*lines[:half], f"... {number_of(len(lines) - 2 * half, 'line')} more ...", *lines[-half:]]
    return "\n".join(lines)
