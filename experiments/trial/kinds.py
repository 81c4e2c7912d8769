"""Kinds of phones and servers as cards: one YAML file each. Every setting has its evidence and its source.

The rules of this file:

- A card gives a setting's value and who says so, or lists its name under ``unknown``. A setting that is
  unknown or not named has the family's value, or else that of the lab's plain endpoint.
- A card is a ``brand`` only if at least half of all settings are known better than by inference; else it is
  a ``family``. A ``control`` is no real product: it shows what a strictness that no product has would do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, create_model, model_validator

from siplab.experiments.trial.kind_settings import SETTINGS
from siplab.experiments.trial.registry import Item
from siplab.lab import documents
from siplab.lab.documents import MisplacedError
from siplab.lab.errors import UsageError

T = TypeVar("T")
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Evidence = Literal["seen", "source-code", "vendor-documentation", "user-report", "inference"]
"""``seen``: the program was run, in the version that the card names, and observed."""
INFERENCE: Final = "inference"
BRAND_SHARE: Final = 0.5
"""A brand must know at least this share of all settings better than by inference."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Known(Strict, Generic[T]):
    """The value of one setting, and who says so."""

    value: T
    evidence: Evidence
    source: Text
    """Repository and line, or a document, or how it was observed."""
    note: Text | None = None


class Card(Strict):
    """A kind of phone or server."""

    id: Identifier
    """Also the file's name."""
    summary: Text
    about: Text
    kind: Literal["brand", "family", "control"]
    family: Identifier | None = None
    """The kind that supplies unknown settings; without one they are those of the lab's plain endpoint."""
    version: Text
    """What was run or read."""
    settings: BaseModel
    unknown: tuple[str, ...] = ()
    """Settings for which no source is known."""

    @property
    def known(self) -> dict[str, Known[Any]]:
        """The settings whose values the card gives."""
        return {name: getattr(self.settings, name) for name in _ordered(self.settings)}

    @property
    def share(self) -> float:
        """The share of all settings that are known better than by inference, 0 to 1."""
        known = [each for each in self.known.values() if each.evidence != INFERENCE]
        return len(known) / len(type(self.settings).model_fields)

    @model_validator(mode="after")
    def _consistent(self) -> Card:
        names = type(self.settings).model_fields
        for at, name in enumerate(self.unknown):
            if name not in names:
                raise MisplacedError(f"there is no setting '{name}'", "unknown", at)
            if name in self.known:
                raise MisplacedError(f"'{name}' has a value above", "unknown", at)
        if self.kind == "brand" and self.share < BRAND_SHARE:
            raise MisplacedError(
                f"a brand knows at least {BRAND_SHARE:.0%} of the settings better than by inference, "
                f"this card {self.share:.0%}; write 'family'",
                "kind",
            )
        return self


def _ordered(settings: BaseModel) -> Iterator[str]:
    return (name for name in type(settings).model_fields if getattr(settings, name) is not None)


@cache
def card_type(kind: str) -> type[Card]:
    """The schema of one sort of card: its settings, each with its own type."""
    fields: dict[str, Any] = {}
    for name, each in SETTINGS[kind].__pydantic_fields__.items():  # type: ignore[union-attr]
        hint = Annotated[each.annotation, *each.metadata] if each.metadata else each.annotation
        fields[name] = (Known[hint] | None, Field(None, description=each.description))  # type: ignore[valid-type]
    title = kind.capitalize()
    settings = create_model(f"{title}CardSettings", __base__=Strict, **fields)
    return create_model(f"{title}Card", __base__=Card, settings=(settings, ...))


@dataclass(frozen=True)
class Origin:
    """Where the value of a setting comes from. ``card``: its id; ``None``: the lab's plain endpoint."""

    card: str | None
    known: Known[Any] | None


class Shelf:
    """The cards of one sort, by id. They are the YAML files in a package's folder."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self._folder = folder
        self._cards = {
            path.stem: _read(path, card_type(kind))
            for path in sorted(folder.glob("*.yaml"))
            if not path.name.startswith("_")
        }
        for each in self._cards.values():
            self._families(each)

    def __iter__(self) -> Iterator[Card]:
        return iter(self._cards.values())

    def get(self, identifier: str) -> Card | None:
        """The card of that id; ``None`` for a kind that is written in Python."""
        return self._cards.get(identifier)

    def values(self, identifier: str, names: Iterable[str]) -> dict[str, Any]:
        """A card's values of these settings. Raises ``KeyError`` if it does not give one."""
        known = self._cards[identifier].known
        return {name: known[name].value for name in names}

    def origins(self, card: Card) -> dict[str, Origin]:
        """For every setting, where its value comes from."""
        found = {name: Origin(None, None) for name in type(card.settings).model_fields}
        for each in reversed([card, *self._families(card)]):
            found.update((name, Origin(each.id, known)) for name, known in each.known.items())
        return found

    def items(self) -> Iterator[Item[Any]]:
        """The kinds, for the registry."""
        for card in self:
            origins = self.origins(card).items()
            values = {name: each.known.value for name, each in origins if each.known is not None}
            yield Item(card.id, card.summary, SETTINGS[self.kind](**values), card.about)

    def _families(self, card: Card) -> list[Card]:
        """The cards that supply unknown settings, the nearest first."""
        found: list[Card] = []
        while card.family is not None:
            family = self._cards.get(card.family)
            if family is None or family in found:
                what = "there is no such card" if family is None else "it is a family of its own family"
                file = self._folder / f"{card.id}.yaml"
                raise UsageError(f"{file}: field 'family': '{card.family}': {what}")
            found.append(family)
            card = family
        return found


def _read(path: Path, kind: type[Card]) -> Card:
    card = documents.read(path, kind)
    if card.id != path.stem:
        raise UsageError(f"{path}:1: field 'id': '{card.id}' must be the file's name, '{path.stem}'")
    return card
