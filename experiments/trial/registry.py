"""Finds scenarios, detectors and mitigations: one per file in a folder, named by its id.

A module offers ``ITEM``: an object with ``id``, ``summary`` and ``settings``. The settings are a frozen
dataclass: its fields are the parameters, its methods do the work.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Generic, TypeVar

from siplab.lab import foreign, specs
from siplab.lab.errors import UsageError
from siplab.lab.plugins import from_entry_points, from_path

S = TypeVar("S")

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")

# Installed packages announce modules with an ITEM in this entry-point group.
DETECTORS_GROUP: Final = "siplab.detectors"
SCENARIOS_GROUP: Final = "siplab.scenarios"


@dataclass(frozen=True)
class Item(Generic[S]):
    """A named thing. Its ``settings`` do the work. ``about``: documentation; ``aliases``: further names.

    ``only_by_name``: too expensive to be part of "all". It is listed, and runs only if it is named.
    """

    id: str
    summary: str
    settings: S
    about: str = ""
    aliases: tuple[str, ...] = ()
    only_by_name: bool = False

    @property
    def parameters(self) -> dict[str, Any]:
        return specs.parameters(self.settings)


class Registry(Generic[S]):
    """The items of one kind, by id. The lab's own are in ``siplab.experiments.<kind>s``."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        package = importlib.import_module(f"siplab.experiments.{kind}s")
        self._items: dict[str, Item[S]] = {}
        self._origins: dict[str, str] = {}  # of users' own items
        self._asked_for: dict[str, Item[S]] = {}  # parsing a spec costs more than running many a trial's part
        for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda each: each.name):
            module = importlib.import_module(f"{package.__name__}.{info.name}")
            for item in (*getattr(module, "ITEMS", ()), *([module.ITEM] if hasattr(module, "ITEM") else ())):
                if item.id in self._items:
                    raise ValueError(f"two {kind}s are called '{item.id}'")
                self._items[item.id] = _documented(item, module)
        self._items = dict(sorted(self._items.items()))

    def add_module(self, module: ModuleType, origin: str) -> None:
        """Register the ``ITEM`` or ``ITEMS`` of a user's module. Raises ``UsageError``."""
        with foreign.blamed(origin):
            found: list[Any] = [*getattr(module, "ITEMS", ())]
            if hasattr(module, "ITEM"):
                found.append(module.ITEM)
            if not found:
                raise UsageError(f"{origin}: no ITEM or ITEMS in it")
            for item in found:
                if not isinstance(item, Item):
                    kind = type(item).__name__
                    raise UsageError(f"{origin}: ITEM must be a siplab.{self.kind}.Item, not {kind}")
                _check(item, f"{origin}: {self.kind}")
                if item.id in self._items:
                    raise UsageError(f"{origin}: {self.kind} id '{item.id}' is taken; give it another id")
                self._items[item.id] = _documented(item, module)
                self._origins[item.id] = origin

    def origin(self, spec: str) -> str:
        """Where a user's item comes from: a file or an entry point; empty for the project's own."""
        return self._origins.get(specs.parse(spec, self.kind)[0], "")

    def __iter__(self) -> Iterator[Item[S]]:
        """All items but those that must be named."""
        return (each for each in self._items.values() if not each.only_by_name)

    def listed(self) -> list[Item[S]]:
        """All items."""
        return list(self._items.values())

    def get(self, spec: str) -> Item[S]:
        """The item that ``ID`` or ``ID(parameter=value)`` names. Raises ``UsageError`` with the fix."""
        found = self._asked_for.get(spec)
        if found is None:
            found = self._asked_for[spec] = self._configure(spec)
        return found

    def _configure(self, spec: str) -> Item[S]:
        name, values = specs.parse(spec, self.kind)
        item = self._items.get(name) or next((each for each in self if name in each.aliases), None)
        if item is None:
            raise specs.unknown(self.kind, name, self._items)
        if not values:
            return item
        with foreign.blamed(f"{self.kind} '{name}'"):
            settings = specs.configured(item.settings, values, f"{self.kind} '{name}'")
        return replace(item, id=specs.written(item.id, values), settings=settings)


def _check(item: Item[Any], where: str) -> None:
    """Raises ``UsageError`` if a user's item has something that it can't have."""
    if not isinstance(item.id, str) or not _ID.match(item.id):
        raise UsageError(f"{where} id {item.id!r:.80} must be letters, digits, '-', '_' and '.'")
    for name in ("summary", "about"):
        if not isinstance(getattr(item, name), str):
            raise UsageError(f"{where} '{item.id}': its {name} must be a text")
    if not isinstance(item.aliases, tuple | list) or not all(isinstance(each, str) for each in item.aliases):
        raise UsageError(f"{where} '{item.id}': its aliases must be a tuple of texts")
    if isinstance(item.settings, type) or not is_dataclass(item.settings):
        raise UsageError(f"{where} '{item.id}': its settings must be an instance of a dataclass")
    if not callable(getattr(item.settings, "run", None)):
        raise UsageError(f"{where} '{item.id}': its settings have no method run(stage)")


def _documented(item: Item[S], module: ModuleType) -> Item[S]:
    return replace(item, about=item.about or (module.__doc__ or "").strip())


@cache
def scenarios(paths: tuple[str, ...] = ()) -> Registry[Any]:
    """The scenarios: ``settings.run(stage)``.

    The lab's own, those of installed packages, and those in ``paths`` (files or folders). Raises
    ``UsageError`` that names the place of the error.
    """
    return _with_plugins(Registry("scenario"), SCENARIOS_GROUP, paths)


@cache
def detectors(paths: tuple[str, ...] = ()) -> Registry[Any]:
    """The detectors: ``settings.run(stage)`` gives a ``Finding``.

    Sources and errors are the same as for ``scenarios``.
    """
    return _with_plugins(Registry("detector"), DETECTORS_GROUP, paths)


def _with_plugins(registry: Registry[S], group: str, paths: tuple[str, ...]) -> Registry[S]:
    for module, origin in from_entry_points(group):
        registry.add_module(module, origin)
    for path in paths:
        for module, origin in from_path(Path(path), registry.kind):
            registry.add_module(module, origin)
    return registry


@cache
def phones() -> Registry[Any]:
    """The kinds of phones: ``settings.apply(setup)`` gives another ``Setup``."""
    return Registry("phone")


@cache
def servers() -> Registry[Any]:
    """The kinds of servers: ``settings.apply(setup)`` gives another ``Setup``."""
    return Registry("server")


def program(spec: str, role: str) -> Any:
    """The real program that ``program:NAME(parameter=value)`` names. Raises ``UsageError``.

    ``role``: ``phone`` or ``server``; the program must be able to play it.
    """
    return importlib.import_module("siplab.experiments.programs.kinds").get(spec, role)


def program_stage() -> Any:
    """The type of ``Stage`` on which real programs play."""
    return importlib.import_module("siplab.experiments.programs.endpoints.stage").ProgramStage


@cache
def mitigations() -> Registry[Any]:
    """The mitigations: ``settings.apply(setup)`` gives another ``Setup``.

    A mitigation that changes the network also has ``settings.rewire(topology)``, which gives another
    ``Topology``.
    """
    return Registry("mitigation")
