"""All models by id: those of this project, of installed packages and of paths that a user names.

A module offers ``MODEL`` (one) or ``MODELS`` (several). Packages announce such a module under
the entry point group ``siplab.models``. Two models with the same id are an error, wherever they
come from.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import cache, reduce
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from siplab.alg_models import bare, exact, faults, losses, profiles, vendors
from siplab.lab import foreign, specs
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Card, Model, NotShown, Sufferer
from siplab.lab.gateway.nat_config import NatConfig
from siplab.lab.plugins import from_entry_points, from_path

ENTRY_POINT_GROUP: Final = "siplab.models"
# What ``select`` takes for a kind of model.
_KINDS: Final = {
    "faults": "fault",
    "controls": "control",
    "reference-implementations": "reference-implementation",
}
_HERE: Final = "this program"
# The fields of a card that are texts; below, those that are sequences.
_CARD_TEXTS: Final = ("summary", "kind", "fault_class", "symptom")
_CARD_ROWS: Final = ("examples", "rules", "sources", "breaks", "shows")
_ID: Final = re.compile(r"[a-z0-9][a-z0-9.-]*\Z")
# What each of this project's models breaks with which phone and server, as measured; the default phone and
# server come first. Written by `python -m tools.matrix --write`.
BREAKS: Final = Path(__file__).with_name("breaks.json")


class Catalogue:
    """A set of models with unique ids, in order of registration."""

    def __init__(self, models: Iterable[Model] = ()) -> None:
        self._models: dict[str, Model] = {}
        self._origins: dict[str, str] = {}
        self._own = {_HERE}  # the origins of the project's own models
        for model in models:
            self.add(model, _HERE)

    def add(self, model: Model, origin: str) -> None:
        """Register a model. Raises ``UsageError`` for a clashing or malformed id."""
        if not isinstance(model, Model):
            raise UsageError(
                f"{origin}: MODEL must be a siplab.lab.gateway.alg.Model, not {type(model).__name__}"
            )
        if not isinstance(model.id, str) or not _ID.match(model.id):
            raise UsageError(
                f"{origin}: model id '{model.id}' must be lower-case letters, digits, '-' and '.'"
            )
        if model.id in self._models:
            raise UsageError(
                f"{origin}: model id '{model.id}' is taken by {self._origins[model.id]}; give it another id"
            )
        _check_card(model, origin)
        self._models[model.id] = model
        self._origins[model.id] = origin

    def add_module(self, module: ModuleType, origin: str) -> None:
        """Register what a module offers. Raises ``UsageError`` when it offers nothing."""
        with foreign.blamed(origin):
            found: list[Any] = [*getattr(module, "MODELS", ())]
            if hasattr(module, "MODEL"):
                found.append(module.MODEL)
            if not found:
                raise UsageError(f"{origin}: no MODEL or MODELS in it")
            for model in found:
                self.add(model, origin)

    def origin(self, spec: str) -> str:
        """The files and entry points of users whose code the model runs; empty if it is all the project's."""
        names = (specs.parse(part, "model")[0] for part in specs.split(spec, "model"))
        origins = (self._origins.get(each, "") for each in names)
        return ", ".join(dict.fromkeys(each for each in origins if each not in self._own and each))

    def add_path(self, path: Path) -> None:
        """Register the models in a Python file, or in every ``*.py`` of a folder. Raises ``UsageError``."""
        for module, origin in from_path(path, "model"):
            self.add_module(module, origin)

    def own_up_to_here(self) -> None:
        """From now on, treat all models registered so far as the project's own."""
        self._own.update(self._origins.values())

    def tell_breaks(self, measured: Mapping[str, Sequence[Sufferer]]) -> None:
        """Put into the cards of these models, by id, what they break with which phone and server.

        The default phone and server come first; ``Card.breaks`` is about them.
        """
        for name, sufferers in measured.items():
            model = self._models[name]
            card = replace(model.card, breaks=sufferers[0].breaks, sufferers=tuple(sufferers))
            self._models[name] = replace(model, card=card)

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models.values())

    def __len__(self) -> int:
        return len(self._models)

    def get(self, spec: str) -> Model:
        """The model of ``ID``, ``ID(parameter=value,...)`` or several of them joined by ``+``.

        If no model has the id, it may be the id of a vendor's card; the model is then the card's profile.
        Raises ``UsageError`` with the fix.
        """
        first, *others = (self._one(part) for part in specs.split(spec, "model"))
        return reduce(Model.plus, others, first)

    def _one(self, spec: str) -> Model:
        name, values = specs.parse(spec, "model")
        model = self._models.get(name) or self._derived(name)
        if model is None:
            raise specs.unknown("model", name, [*self._models, *vendors.available()])
        with foreign.blamed(f"model '{name}'"):
            return model.with_parameters(values)

    def _derived(self, name: str) -> Model | None:
        """A model that is in no list: a bare fault or a loss (these measure detectors), or a profile."""
        if name == losses.MODEL.id:
            return losses.MODEL
        return bare.find(name, self.get) or profiles.find(name, self.get)

    def select(self, names: Iterable[str]) -> list[Model]:
        """The models that these ids and specs name, each once, in order. Some words stand for several models:

        - ``all``, ``faults``, ``controls``, ``reference-implementations``: those of the catalogue
        - ``variants``: all models, and the variants that their cards name
        - ``bare``: the faults (and variants) that have a bare form, without the correct ALG
        - ``losses``: routers that lose one thing each
        - ``vendors``: the vendors' cards and their variants, as far as known; ``vendors+hypotheses``: also
          what the unknown ones may do

        Raises ``UsageError`` for an unknown name.
        """
        chosen: dict[str, Model] = {}
        for name in names:
            if name in _KINDS:
                found = [each for each in self if each.card.kind == _KINDS[name]]
            elif name in ("all", "variants"):
                found = list(self) if name == "all" else self.runnable()
            elif name == "bare":
                found = [each for each in map(bare.of, self.runnable()) if each is not None]
            elif name == "losses":
                found = losses.models()
            elif name in ("vendors", "vendors+hypotheses"):
                found = self._vendors(hypotheses=name != "vendors")
            else:
                found = [self.get(name)]
            chosen |= {each.id: each for each in found}
        return list(chosen.values())

    def _vendors(self, *, hypotheses: bool) -> list[Model]:
        """The vendors' profiles whose behaviour is known; if wanted, also the hypotheses on the others."""
        found: list[Model] = []
        for each in vendors.available():
            card = vendors.load(each)
            names = [each, *(specs.written(each, {"variant": variant.id}) for variant in card.variants)]
            found += [model for model in map(self.get, names) if not profiles.is_unknown(model)]
            if hypotheses:
                found += [
                    self.get(specs.written(each, {"hypothesis": guess.id})) for guess in card.hypotheses
                ]
        return found

    def runnable(self) -> list[Model]:
        """Every model, and every variant that a model's card names."""
        return [
            each
            for model in self
            for each in (model, *(model.with_parameters(values) for values in model.variants))
        ]


def _check_card(model: Model, origin: str) -> None:
    """Raises ``UsageError`` when a model's card or recipe is not valid."""
    where = f"{origin}: model '{model.id}'"
    if not isinstance(model.card, Card):
        raise UsageError(f"{where}: its card is of {type(model.card).__name__}, not a Card")
    for name in _CARD_TEXTS:
        if not isinstance(getattr(model.card, name), str):
            raise UsageError(f"{where}: field '{name}' of its card must be a text")
    for name in _CARD_ROWS:
        if not isinstance(getattr(model.card, name), tuple | list):
            raise UsageError(f"{where}: field '{name}' of its card must be a tuple")
    if not isinstance(model.card.not_shown, NotShown | None):
        raise UsageError(f"{where}: field 'not_shown' of its card must be a NotShown, or None")
    for step in model.steps:
        if not callable(getattr(step, "apply", None)):
            raise UsageError(f"{where}: {type(step).__name__} is no step: it has no method apply()")
    known = {each.name for each in fields(NatConfig)}
    for name in model.recipe.nat:
        if name not in known:
            raise UsageError(f"{where}: its recipe has the unknown NAT setting '{name}'")


def load(paths: Sequence[Path] = (), *, plugins: bool = True) -> Catalogue:
    """The project's models, then those of installed packages, then those of ``paths``.

    Raises ``UsageError`` naming the place at fault.
    """
    catalogue = Catalogue()
    for name in _own_modules():
        catalogue.add_module(importlib.import_module(name), name)
    catalogue.own_up_to_here()
    catalogue.tell_breaks(_breaks())
    if plugins:
        for module, origin in from_entry_points(ENTRY_POINT_GROUP):
            catalogue.add_module(module, origin)
    for path in paths:
        catalogue.add_path(path)
    return catalogue


def _own_modules() -> Iterator[str]:
    yield "siplab.alg_models.controls"
    for package in (faults, exact):
        for info in pkgutil.iter_modules(package.__path__):
            if not info.name.startswith("_") and not info.ispkg:
                yield f"{package.__name__}.{info.name}"


@cache
def _breaks() -> dict[str, list[Sufferer]]:
    known = json.loads(BREAKS.read_text(encoding="utf-8"))
    return {
        model: [
            Sufferer(
                each["phone"],
                each["server"],
                tuple(each["breaks"]),
                seen=each.get("seen", False),
                tried=tuple(each.get("tried", ())),
            )
            for each in told
        ]
        for model, told in known.items()
    }
