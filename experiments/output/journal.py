"""The journal of a run: each trial's result as soon as it is there. Nothing of an interrupted run is lost.

``results.jsonl``, beside ``results.json``: one line per trial, with a key that says what it holds for. The
rules of this file:

- A line is written whole or not at all, and ends with a newline: what follows the last newline was cut off by
  the end of the process, and does not count. A line that is damaged is skipped, and counted.
- Nothing is ever wiped: a run that does not go on from it moves it aside. One run at a time has the folder.
- The key is a digest of everything that decides a trial (``keys``). A result of anything else is not used
  again; nor, unless it is trusted, that of a program whose inputs can't be known.
- A result stands in one place: in its line until ``results.json`` has it, from then on there (``settle``). A
  run that goes on, and may replace ``results.json``, first writes the results into their lines again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Final, get_type_hints

from pydantic import TypeAdapter

from siplab.experiments.output import journal_lines
from siplab.experiments.output.files import RESULTS
from siplab.experiments.output.keys import key_of, unknowable
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab import documents
from siplab.lab.errors import OutputError, UsageError
from siplab.lab.outputs import replaced
from siplab.lab.worlds.trace import Trace, from_json_lines

try:
    import fcntl
except ImportError:  # not a Unix: two runs into one folder are not noticed
    fcntl = None  # type: ignore[assignment]

NAME: Final = "results.jsonl"
_SAVED_EVERY: Final = 5.0  # real seconds after which the disk is asked to keep what it has


class Journal:
    """``with Journal(folder, world, resume=...) as journal``: ``known`` first, then ``add`` after each trial.

    ``damaged``: how many lines of it can't be read; they count as trials that were not run. ``moved``: what a
    journal is called now that a run without ``resume`` found in the folder. ``untrusted``: trials that are
    there, but may depend on more than is known, and why; with ``trust`` they count.
    Raises ``UsageError`` when another run has the folder, ``OutputError`` when it can't be written.
    """

    def __init__(self, folder: Path, world: str, *, resume: bool = False, trust: bool = False) -> None:
        self.path = folder / NAME
        self.damaged = 0
        self.untrusted: dict[int, str] = {}
        self._trust = trust
        self.moved: Path | None = None
        self._world = world
        self._rows: dict[str, dict[str, Any]] = {}
        self._asked: tuple[Sequence[TrialSpec], dict[int, TrialResult]] | None = None
        self._lock = _locked(folder)
        try:
            if self.path.exists():
                _unsettle(self.path)
                if not resume:
                    self.moved = _moved_aside(self.path)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            lines = journal_lines.whole(self.path.read_bytes())
            self._end = sum(map(len, lines))
            rows = journal_lines.rows(lines, folder / RESULTS)
            self.damaged = rows.count(None)
            self._rows = {row.key: row.result for row in rows if row is not None}
            os.ftruncate(self._file, self._end)
        except OutputError:
            os.close(self._lock)
            raise
        except OSError as error:
            os.close(self._lock)
            raise OutputError(f"{self.path}: {error.strerror}") from None
        self._saved = time.monotonic()

    def known(self, specs: Sequence[TrialSpec]) -> dict[int, TrialResult]:
        """The results that are there already, by the number of their trial. Invalid ones do not count."""
        if not self._rows:
            return {}
        if self._asked is not None and self._asked[0] is specs:
            return dict(self._asked[1])
        found = {}
        for index, spec in enumerate(specs):
            row = self._rows.get(key_of(spec, self._world))
            if row is None or row["errors"]:
                continue
            reason = "" if self._trust else unknowable(spec)
            if reason:
                self.untrusted[index] = reason
                continue
            try:
                found[index] = from_json(spec, row)
            except UsageError:  # a line that is whole, and not what a run writes
                self.damaged += 1
                del self._rows[key_of(spec, self._world)]
        self._asked = specs, found
        return dict(found)

    def add(self, result: TrialResult) -> None:
        """Write down one result: all of its line, or nothing of it. Raises ``OutputError``."""
        line = journal_lines.line(key_of(result.spec, self._world), result.as_json())
        try:
            written = 0
            while written < len(line):  # a disk that gets full takes a part first
                written += os.pwrite(self._file, line[written:], self._end + written)
            self._end += len(line)
            if time.monotonic() - self._saved > _SAVED_EVERY:
                os.fsync(self._file)
                self._saved = time.monotonic()
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file, self._end)
            raise OutputError(f"{self.path}: {error.strerror}") from None

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # a disk that fails has said so already, or has all of it
            os.fsync(self._file)
        os.close(self._file)
        os.close(self._lock)


def _locked(folder: Path) -> int:
    """The folder's lock, which is free again when its holder ends, of SIGKILL too."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise OutputError(f"{folder}: {error.strerror}") from None
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise UsageError(f"--out {folder}: another run is writing into it; name another folder") from None
        except OSError:
            pass  # a file system without locks
    return descriptor


def _moved_aside(path: Path) -> Path | None:
    """Rename a former journal to the first name that is free; ``None`` for an empty one, which is dropped."""
    if path.stat().st_size == 0:
        path.unlink()
        return None
    number = 1
    while (aside := path.with_suffix(f".{number}{path.suffix}")).exists():
        number += 1
    return path.rename(aside)


def settle(folder: Path, world: str, results: Sequence[TrialResult]) -> None:
    """Once ``results.json`` has these results, in this order: the journal's lines say where they stand in it.

    At any moment a result is in one of the two, or in both. Raises as ``Journal``.
    """
    path, kept = folder / NAME, folder / RESULTS
    lock = _locked(folder)
    try:
        places = {key_of(each.spec, world): number for number, each in enumerate(results)}
        with kept.open("rb") as file:
            digest = journal_lines.digest(file.read())
            os.fsync(file.fileno())  # before what the journal has of it is gone
        lines = journal_lines.whole(path.read_bytes())
        with replaced(path) as out:
            out.writelines(journal_lines.pointing(lines, places, digest))
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}") from None
    finally:
        os.close(lock)


def _unsettle(path: Path) -> None:
    """Write the results that stand in ``results.json`` into their lines again."""
    lines = journal_lines.whole(path.read_bytes())
    rows = journal_lines.rows(lines, path.parent / RESULTS)
    if not any(row is not None and row.pointed for row in rows):
        return
    with replaced(path) as out:
        for line, row in zip(lines, rows, strict=True):
            out.write(line if row is None else journal_lines.line(row.key, row.result))
        out.flush()
        os.fsync(out.fileno())


def results_in(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The trials of a journal as plain data, as they are in ``results.json``, and how many lines are damaged.

    Raises ``UsageError``.
    """
    try:
        lines = journal_lines.whole(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    rows = journal_lines.rows(lines, path.with_name(RESULTS))
    # A trial may have been run again since: the last result counts.
    return list({row.key: row.result for row in rows if row is not None}.values()), rows.count(None)


# -- results from plain data -------------------------------------------------------------------------


@cache
def _readers() -> dict[str, TypeAdapter[Any]]:
    """What reads each field of a result but its trial, which is known."""
    hints = get_type_hints(TrialResult)
    return {each.name: TypeAdapter(hints[each.name]) for each in fields(TrialResult) if each.name != "spec"}


def from_json(spec: TrialSpec, row: dict[str, Any]) -> TrialResult:
    """The result that ``TrialResult.as_json`` gave. Raises ``UsageError`` when it is none."""
    try:
        values = {name: each.validate_python(row[name]) for name, each in _readers().items() if name in row}
        return TrialResult(spec, **values)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{spec.name}: its stored result can't be read: {error}") from None


def stored_trace(folder: Path, stem: str) -> Trace | None:
    """The trace that a folder has of the trial with that stem of files. Raises ``UsageError``."""
    path = folder / f"{stem}.trace.jsonl"
    if not path.is_file():
        path = path.with_name(f"{path.name}.gz")
    if not path.is_file():
        return None
    text = documents.text(path)
    try:
        return from_json_lines(text)
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None
