"""Python modules that users bring: from a file, from a folder, or announced by an installed package.

A file is first imported in a process of its own. So an import that ends its process, or never returns, does
not end the command.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Final

from siplab.lab import foreign, interrupts
from siplab.lab.errors import UsageError

# Seconds in which a module must have been imported.
_IMPORT_LIMIT: Final = 60.0


class _Settings:
    rehearses = hasattr(os, "fork")


def import_at_once() -> None:
    """Import without a rehearsal, in processes that another process watches."""
    _Settings.rehearses = False


def from_path(path: Path, kind: str) -> Iterator[tuple[ModuleType, str]]:
    """The module in a Python file, or those in every ``*.py`` of a folder, each with where it is from.

    In a folder, files whose names begin with ``_`` are skipped. ``kind`` names the thing that is looked
    for, in errors. Raises ``UsageError``.
    """
    files = sorted(each for each in path.glob("*.py") if each.name[0] != "_") if path.is_dir() else [path]
    if not path.exists() or not files:
        raise UsageError(f"{kind} path {path}: no such file, or a folder without .py files")
    for file in files:
        # Unique per path, so that two files of one name don't share a module.
        digest = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:12]
        spec = importlib.util.spec_from_file_location(f"siplab_{kind}s_{digest}", file)
        if spec is None or spec.loader is None:
            raise UsageError(f"{kind} path {file}: not a Python file")
        # Threads don't survive a fork, and their locks stay locked.
        if _Settings.rehearses and threading.active_count() == 1:
            _rehearse(spec, f"{kind} path {file}")
        try:
            module = _imported(spec)
        except BaseException as error:
            if interrupts.is_users(error):
                raise
            raise UsageError(f"{kind} path {file}: {foreign.told(error)}") from error
        yield module, str(file)


def _imported(spec: ModuleSpec) -> ModuleType:
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pydantic look up the names in annotations there.
    sys.modules[spec.name] = module
    try:
        with foreign.printing_aside():
            assert spec.loader is not None
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module


def _rehearse(spec: ModuleSpec, origin: str) -> None:
    """Import it in a fork. Raises ``UsageError`` if the import does not return; it may raise anything."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        _import_and_tell(spec, theirs)
    os.close(theirs)
    try:
        ended = bool(select.select([ours], [], [], _IMPORT_LIMIT)[0])
        came_back = ended and os.read(ours, 1) == b"."
    finally:
        os.close(ours)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if not ended:
        raise UsageError(f"{origin}: importing it takes longer than {_IMPORT_LIMIT:g} s")
    if not came_back:
        raise UsageError(f"{origin}: importing it ends the process, {_how_it_ended(status)}")


def _import_and_tell(spec: ModuleSpec, descriptor: int) -> None:
    try:
        silence = os.open(os.devnull, os.O_RDWR)
        for each in (0, 1, 2):
            os.dup2(silence, each)
        try:
            _imported(spec)
        finally:
            os.write(descriptor, b".")
    finally:
        os._exit(0)


def _how_it_ended(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"with exit status {code}" if code >= 0 else f"by signal {-code}"


def from_entry_points(group: str) -> Iterator[tuple[ModuleType, str]]:
    """The modules that installed packages announce under ``group``. Raises ``UsageError``."""
    for point in sorted(entry_points(group=group), key=lambda each: each.name):
        origin = f"entry point '{point.name}' ({point.value})"
        try:
            with foreign.printing_aside():
                module = point.load()
        except BaseException as error:
            if interrupts.is_users(error):
                raise
            raise UsageError(f"{origin}: {foreign.told(error)}") from error
        yield module, origin
