"""The shelf of real programs that can be phones and servers, and how one is chosen and set.

``program:ID``, ``program:ID(parameter=value)``: one of the lab's own, in ``shipped/``; ``program:FILE.yaml``:
yours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from siplab.experiments.programs.kind import ProgramKind
from siplab.lab import documents, specs
from siplab.lab.errors import UsageError

PREFIX: Final = "program:"
FOLDER: Final = Path(__file__).parent / "shipped"
_FILE: Final = "kind.yaml"


@dataclass(frozen=True)
class Chosen:
    """A kind with the values of its parameters. ``place``: the folder that has its templates."""

    kind: ProgramKind
    values: Mapping[str, Any]
    place: Path

    def texts(self) -> dict[str, str]:
        """What templates and command lines get for each parameter."""
        found = {}
        for name, parameter in self.kind.parameters.items():
            value = self.values[name]
            found[name] = parameter.values[value] if parameter.values else specs.value_text(value)
        return found

    def set(self, name: str, value: object) -> Chosen | None:
        """The same with a setting that a scenario asks for; ``None``: it can't have that."""
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
def shipped() -> dict[str, ProgramKind]:
    """The lab's own, by id."""
    return {path.parent.name: _read(path) for path in sorted(FOLDER.glob(f"*/{_FILE}"))}


def get(spec: str, role: str) -> Chosen:
    """The kind that a spec names, with or without ``program:``. Raises ``UsageError``.

    ``role``: ``phone`` or ``server``, which it has to be.
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
    return kind


def _set(kind: ProgramKind, given: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: each.default for name, each in kind.parameters.items()}
    for name, value in given.items():
        parameter = kind.parameters.get(name)
        where = f"program '{kind.id}'"
        if parameter is None:
            known = ", ".join(kind.parameters) or "none"
            raise UsageError(f"{where} has no parameter '{name}' (parameters: {known})")
        if parameter.values and not any(value == each and type(value) is type(each) for each in parameter.values):
            choice = ", ".join(specs.value_text(each) for each in parameter.values)
            raise UsageError(f"{where}, parameter '{name}': {specs.value_text(value)}: choose one of {choice}")
        if not isinstance(value, bool | int | float | str):
            raise UsageError(f"{where}, parameter '{name}': a number, a word, true or false")
        if isinstance(value, str) and not value.isprintable():
            raise UsageError(f"{where}, parameter '{name}': control characters are not allowed")
        values[name] = value
    return values
