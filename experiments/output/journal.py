"""The journal of a run: each trial's result as soon as it is there, so that an interrupted run loses nothing.

It is ``results.jsonl``, beside ``results.json``: one line per trial, with a key of what the result depends
on. The rules of this file:

- A line ends with a newline. What follows the last newline was cut off when the process ended, and does not
  count. A damaged line is skipped, and counted.
- Nothing is deleted: a run that does not resume moves an old journal aside. Only one run at a time may use
  the folder.
- The key is a digest of everything that decides a trial (``keys``). A result with another key is not used
  again; nor, unless it is trusted, a result of a program whose inputs can't be known.
- A result is stored once: in its line until ``results.json`` has it, then only there (``settle``). A resumed
  run may replace ``results.json``, so it first writes the results back into their lines.
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
except ImportError:  # not a Unix: if two runs use one folder, this is not noticed
    fcntl = None  # type: ignore[assignment]

NAME: Final = "results.jsonl"
_SAVED_EVERY: Final = 5.0  # wall-clock seconds between two calls that flush data to disk


class Journal:
    """``with Journal(folder, world, resume=...) as journal``: first ``known``, then ``add`` after each trial.

    ``damaged``: lines that can't be read; their trials count as not run. ``moved``: the new name of a journal
    that a run without ``resume`` found in the folder. ``untrusted``: trials that are there but may depend on
    unknown things, and why; with ``trust`` they count. Raises ``UsageError`` if another run uses the folder,
    ``OutputError`` if it can't be written.
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
        """The results that are already there, by the number of their trial. Invalid ones do not count."""
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
            except UsageError:  # a complete line that no run writes
                self.damaged += 1
                del self._rows[key_of(spec, self._world)]
        self._asked = specs, found
        return dict(found)

    def add(self, result: TrialResult) -> None:
        """Write down one result as a line, completely or not at all. Raises ``OutputError``."""
        line = journal_lines.line(key_of(result.spec, self._world), result.as_json())
        try:
            written = 0
            while written < len(line):  # a disk that gets full may take only a part
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
        with suppress(OSError):  # a failing disk was reported already, or the data is written
            os.fsync(self._file)
        os.close(self._file)
        os.close(self._lock)


def _locked(folder: Path) -> int:
    """The folder's lock. It is released when its holder ends, even by SIGKILL."""
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
    """Rename an old journal to the first free name. An empty one is deleted, and gives ``None``."""
    if path.stat().st_size == 0:
        path.unlink()
        return None
    number = 1
    while (aside := path.with_suffix(f".{number}{path.suffix}")).exists():
        number += 1
    return path.rename(aside)


def settle(folder: Path, world: str, results: Sequence[TrialResult]) -> None:
    """Once ``results.json`` has these results in this order, let the journal's lines refer to it.

    At any moment a result is in at least one of the two files. Raises the same errors as ``Journal``.
    """
    path, kept = folder / NAME, folder / RESULTS
    lock = _locked(folder)
    try:
        places = {key_of(each.spec, world): number for number, each in enumerate(results)}
        with kept.open("rb") as file:
            digest = journal_lines.digest(file.read())
            os.fsync(file.fileno())  # before the journal's copy is removed
        lines = journal_lines.whole(path.read_bytes())
        with replaced(path) as out:
            out.writelines(journal_lines.pointing(lines, places, digest))
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}") from None
    finally:
        os.close(lock)


def _unsettle(path: Path) -> None:
    """Write the results that are in ``results.json`` back into their lines."""
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
    """The trials of a journal as plain data, as in ``results.json``, and the number of damaged lines.

    Raises ``UsageError``.
    """
    try:
        lines = journal_lines.whole(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    rows = journal_lines.rows(lines, path.with_name(RESULTS))
    # A trial may have been run again later: its last result counts.
    return list({row.key: row.result for row in rows if row is not None}.values()), rows.count(None)


# -- results from plain data -------------------------------------------------------------------------


@cache
def _readers() -> dict[str, TypeAdapter[Any]]:
    """The readers for each field of a result except its trial, which is known."""
    hints = get_type_hints(TrialResult)
    return {each.name: TypeAdapter(hints[each.name]) for each in fields(TrialResult) if each.name != "spec"}


def from_json(spec: TrialSpec, row: dict[str, Any]) -> TrialResult:
    """The result from the data of ``TrialResult.as_json``. Raises ``UsageError`` if it is not valid."""
    try:
        values = {name: each.validate_python(row[name]) for name, each in _readers().items() if name in row}
        return TrialResult(spec, **values)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{spec.name}: its stored result can't be read: {error}") from None


def stored_trace(folder: Path, stem: str) -> Trace | None:
    """The stored trace of the trial whose files have this stem. Raises ``UsageError``."""
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
