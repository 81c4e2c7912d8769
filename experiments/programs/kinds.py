"""The real programs that can be phones and servers, and how one is chosen and set.

``program:ID``, ``program:ID(parameter=value)``: one of the lab's own, in ``shipped/``; ``program:FILE.yaml``:
a user's own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from siplab.experiments.programs.kind import Needed, ProgramKind
from siplab.lab import documents, specs
from siplab.lab.errors import UsageError
from siplab.lab.worlds.emulated import executables

PREFIX: Final = "program:"
FOLDER: Final = Path(__file__).parent / "shipped"
_FILE: Final = "kind.yaml"
_PATIENCE: Final = 5.0  # seconds in which a program must print its version


@dataclass(frozen=True)
class Chosen:
    """A kind with the values of its parameters. ``place``: the folder with its templates."""

    kind: ProgramKind
    values: Mapping[str, Any]
    place: Path

    def texts(self) -> dict[str, str]:
        """The text of each parameter, for templates and command lines."""
        found = {}
        for name, parameter in self.kind.parameters.items():
            value = self.values[name]
            found[name] = parameter.values[value] if parameter.values else specs.value_text(value)
        return found

    @property
    def like(self) -> str:
        """The lab's kind that imitates it. Raises ``UsageError`` if there is none."""
        for each in self.kind.like:
            if all(self.values[name] == value for name, value in each.when.items()):
                return each.kind
        raise UsageError(f"program '{self.kind.id}': the file names no kind of the lab under 'like'")

    def require(self) -> None:
        """Raises ``UsageError`` if this machine lacks a program."""
        for each in self.kind.programs:
            name = each.command[0]
            if each.is_wanted(self.values) and "{" not in name:
                executables.require(name, f"program '{self.kind.id}'")

    def versions(self) -> list[str]:
        """Name and version of each program that it needs, if known."""
        return [f"{each.program} {version_of(each) or 'of no known version'}" for each in self.kind.needs]

    def set(self, name: str, value: object) -> Chosen | None:
        """The same, with a setting that a scenario asks for; ``None`` if it does not have it."""
        taken = self.kind.settings.get(name)
        plain = list(value) if isinstance(value, tuple) else value
        if taken is None:
            return None
        if taken.parameter is None:
            return self if plain in [*taken.accepts] else None
        known = self.kind.parameters[taken.parameter].values
        if known and plain not in known:
            return None
        return Chosen(self.kind, {**self.values, taken.parameter: plain}, self.place)


@cache
def version_of(needed: Needed) -> str | None:
    """The version of a program; empty if it does not print one; ``None`` if the program is missing."""
    if shutil.which(needed.program) is None:
        return None
    if needed.version is None:
        return ""
    with tempfile.TemporaryDirectory() as empty:
        try:
            done = subprocess.run(
                needed.version.command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PATIENCE,
                check=False,
                cwd=empty,
                env={**os.environ, "HOME": empty},  # some programs create files in HOME at their first run
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
    text = (done.stdout + done.stderr).decode("utf-8", "replace")
    found = re.search(needed.version.pattern, text)
    return found[1] if found and found[1].isprintable() else ""


@cache
def shipped() -> dict[str, ProgramKind]:
    """The lab's own, by id."""
    return {path.parent.name: _read(path) for path in sorted(FOLDER.glob(f"*/{_FILE}"))}


def get(spec: str, role: str) -> Chosen:
    """The kind that a spec names, with or without ``program:``. Raises ``UsageError``.

    ``role``: ``phone``, ``server`` or ``relay``; the kind must have this role.
    """
    name, values = specs.parse(spec.removeprefix(PREFIX), "program")
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        kind = _read(path)
    else:
        path = FOLDER / name / _FILE
        known = shipped()
        if name not in known:
            raise specs.unknown("program", name, [each.id for each in known.values() if each.role == role])
        kind = known[name]
    if kind.role != role:
        raise UsageError(f"program '{name}' is a {kind.role}, not a {role}")
    return Chosen(kind, _set(kind, values), path.parent)


def _read(path: Path) -> ProgramKind:
    kind = documents.read(path, ProgramKind)
    for target, template in kind.files.items():
        if not (path.parent / template).is_file():
            raise UsageError(f"{path}: field 'files.{target}': no file '{template}' beside it")
        documents.text(path.parent / template)
    for name, parameter in kind.parameters.items():
        if parameter.file:
            _check_file(kind, str(parameter.default), f"{path}: field 'parameters.{name}.default'")
    return kind


def _set(kind: ProgramKind, given: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: each.default for name, each in kind.parameters.items()}
    for name, value in given.items():
        parameter = kind.parameters.get(name)
        where = f"program '{kind.id}'"
        if parameter is None:
            known = ", ".join(kind.parameters) or "none"
            raise UsageError(f"{where} has no parameter '{name}' (parameters: {known})")
        if parameter.values and not any(
            value == each and type(value) is type(each) for each in parameter.values
        ):
            choice = ", ".join(specs.value_text(each) for each in parameter.values)
            raise UsageError(
                f"{where}, parameter '{name}': {specs.value_text(value)}: choose one of {choice}"
            )
        if not isinstance(value, bool | int | float | str):
            raise UsageError(f"{where}, parameter '{name}': a number, a word, true or false")
        if isinstance(value, str) and not value.isprintable():
            raise UsageError(f"{where}, parameter '{name}': control characters are not allowed")
        if parameter.file:
            _check_file(kind, str(value), f"{where}, parameter '{name}'")
        values[name] = value
    return values


def _check_file(kind: ProgramKind, value: str, where: str) -> None:
    """Raises ``UsageError`` if a parameter names a file that does not exist."""
    if value in kind.files or (value.startswith("/") and Path(value).is_file()):
        return
    own = f", or its own: {', '.join(kind.files)}" if kind.files else ""
    raise UsageError(f"{where}: no file '{value}'; name a path from '/' on{own}")
