"""Python modules that users bring: from a file, from a folder, or announced by an installed package."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from siplab.lab.errors import UsageError


def from_path(path: Path, kind: str) -> Iterator[tuple[ModuleType, str]]:
    """The module in a Python file, or those in every ``*.py`` of a folder, each with where it is from.

    Files whose names begin with ``_`` are not looked at in a folder. ``kind`` names what is looked for
    in errors. Raises ``UsageError``.
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
        module = importlib.util.module_from_spec(spec)
        # Dataclasses and pydantic look the names in annotations up there.
        sys.modules[spec.name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[spec.name]
            raise UsageError(f"{kind} path {file}: {type(error).__name__}: {error}") from error
        yield module, str(file)


def from_entry_points(group: str) -> Iterator[tuple[ModuleType, str]]:
    """The modules that installed packages announce under ``group``. Raises ``UsageError``."""
    for point in sorted(entry_points(group=group), key=lambda each: each.name):
        origin = f"entry point '{point.name}' ({point.value})"
        try:
            yield point.load(), origin
        except Exception as error:
            raise UsageError(f"{origin}: {type(error).__name__}: {error}") from error
