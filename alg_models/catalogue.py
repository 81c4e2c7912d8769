"""All models by id: those of this project, of installed packages and of paths that a user names.

A module offers ``MODEL`` (one) or ``MODELS`` (several). Packages announce such a module under
the entry point group ``alglab.models``. Two models of one id are an error, wherever they
come from.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import alg_models.exact
import alg_models.faults
from lab import specs
from lab.errors import UsageError
from lab.gateway.alg import Model

ENTRY_POINT_GROUP: Final = "alglab.models"
_ID: Final = re.compile(r"[a-z0-9][a-z0-9.-]*\Z")


class Catalogue:
    """A set of models with unique ids, in order of registration."""

    def __init__(self, models: Iterable[Model] = ()) -> None:
        self._models: dict[str, Model] = {}
        self._origins: dict[str, str] = {}
        for model in models:
            self.add(model, "this program")

    def add(self, model: Model, origin: str) -> None:
        """Register a model. Raises ``UsageError`` for a clashing or malformed id."""
        if not isinstance(model, Model):
            raise UsageError(f"{origin}: MODEL must be a lab.gateway.alg.Model, not {type(model).__name__}")
        if not _ID.match(model.id):
            raise UsageError(
                f"{origin}: model id '{model.id}' must be lower-case letters, digits, '-' and '.'"
            )
        if model.id in self._models:
            raise UsageError(
                f"{origin}: model id '{model.id}' is taken by {self._origins[model.id]}; give it another id"
            )
        self._models[model.id] = model
        self._origins[model.id] = origin

    def add_module(self, module: ModuleType, origin: str) -> None:
        """Register what a module offers. Raises ``UsageError`` when it offers nothing."""
        found: list[Any] = [*getattr(module, "MODELS", ())]
        if hasattr(module, "MODEL"):
            found.append(module.MODEL)
        if not found:
            raise UsageError(f"{origin}: no MODEL or MODELS in it")
        for model in found:
            self.add(model, origin)

    def add_path(self, path: Path) -> None:
        """Register the models in a Python file, or in every ``*.py`` of a folder. Raises ``UsageError``."""
        files = sorted(path.glob("*.py")) if path.is_dir() else [path]
        if not path.exists() or not files:
            raise UsageError(f"model path {path}: no such file, or a folder without .py files")
        for file in files:
            # Unique per path, so that two files of one name don't share a module.
            digest = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:12]
            spec = importlib.util.spec_from_file_location(f"alglab_models_{digest}", file)
            if spec is None or spec.loader is None:
                raise UsageError(f"model path {file}: not a Python file")
            module = importlib.util.module_from_spec(spec)
            # Dataclasses and pydantic look the names in annotations up there.
            sys.modules[spec.name] = module
            try:
                spec.loader.exec_module(module)
            except Exception as error:
                del sys.modules[spec.name]
                raise UsageError(f"model path {file}: {type(error).__name__}: {error}") from error
            self.add_module(module, str(file))

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models.values())

    def __len__(self) -> int:
        return len(self._models)

    def get(self, spec: str) -> Model:
        """The model of ``ID``, ``ID(parameter=value,...)`` or several of them joined by ``+``.

        Raises ``UsageError`` with the mend.
        """
        first, *others = (self._one(part) for part in specs.split(spec, "model"))
        return reduce(Model.plus, others, first)

    def _one(self, spec: str) -> Model:
        name, values = specs.parse(spec, "model")
        model = self._models.get(name)
        if model is None:
            raise specs.unknown("model", name, self._models)
        return model.with_parameters(values)

    def runnable(self) -> list[Model]:
        """Every model and every variant that a model names."""
        return [
            each
            for model in self
            for each in (model, *(model.with_parameters(values) for values in model.variants))
        ]


def load(paths: Sequence[Path] = (), *, plugins: bool = True) -> Catalogue:
    """The project's models, then those of installed packages, then those of ``paths``.

    Raises ``UsageError`` naming the place at fault.
    """
    catalogue = Catalogue()
    catalogue.add_module(importlib.import_module("alg_models.controls"), "alg_models.controls")
    for package in (alg_models.faults, alg_models.exact):
        for info in pkgutil.iter_modules(package.__path__):
            if not info.name.startswith("_") and not info.ispkg:
                name = f"{package.__name__}.{info.name}"
                catalogue.add_module(importlib.import_module(name), name)
    if plugins:
        for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda each: each.name):
            origin = f"entry point '{point.name}' ({point.value})"
            try:
                module = point.load()
            except Exception as error:
                raise UsageError(f"{origin}: {type(error).__name__}: {error}") from error
            catalogue.add_module(module, origin)
    for path in paths:
        catalogue.add_path(path)
    return catalogue
