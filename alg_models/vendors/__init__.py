"""The vendors' cards: one YAML file each, and how to find them by id or by what people call them."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Final

from siplab.alg_models.vendors.schema import VendorProfile, search_key
from siplab.lab import documents, specs
from siplab.lab.errors import UsageError

_FOLDER: Final = Path(__file__).parent


def available() -> list[str]:
    """The ids of the cards that come with the project."""
    return list(_ids())


@cache
def load(name: str) -> VendorProfile:
    """A card by id, by what people call it, or from the path of a YAML file. Raises ``UsageError``."""
    if name.endswith((".yaml", ".yml")) or "/" in name:
        return _read(Path(name))
    if name in _ids():
        return _read(_FOLDER / f"{name}.yaml")
    identifier = called(name) or search(name)
    if identifier is None:
        aliases = [alias for each in _ids() for alias in load(each).aliases]
        raise specs.unknown("vendor", name, [*_ids(), *aliases])
    return load(identifier)


def called(name: str) -> str | None:
    """The id of the card with this id or alias, or ``None``."""
    return _words().get(search_key(name))


def search(name: str) -> str | None:
    """The id of the card that a user means by a name such as ``Asus Routers``, ``RV042G`` or ``Vigor2750``.

    The longest part of the name that is a vendor's or a device's decides; of single words, those with digits
    come first. Raises ``UsageError`` with the candidates if several cards fit.
    """
    words = re.findall(r"\w+", name)
    spans = [(start, end) for end in range(1, len(words) + 1) for start in range(end)]
    parts = ["".join(words[start:end]) for start, end in sorted(spans, key=lambda span: span[0] - span[1])]
    one = [part for part in parts if part in words]
    parts = [part for part in parts if part not in one] + sorted(one, key=str.isalpha)
    keys = map(search_key, parts)
    known = _devices()
    for key in keys:
        found = {called(each) for each in (key, key.removesuffix("s"))} - {None}
        found = found or known.get(key, set()) | known.get(key.removesuffix("s"), set())
        if len(found) > 1:
            raise UsageError(f"'{name}' may be {' or '.join(sorted(map(str, found)))}; write which one")
        if found:
            return found.pop()
    return None


@cache
def _devices() -> dict[str, set[str | None]]:
    """The ids by search key: the cards' names and devices, whole, and their words with digits."""
    found: dict[str, set[str | None]] = {}
    for card in map(load, _ids()):
        texts = [part for text in (card.name, *card.devices) for part in re.split(r"[,;]| and ", text)]
        texts += [word for text in texts for word in text.split() if any(map(str.isdigit, word))]
        texts.append(card.name.split()[0])
        for key in map(search_key, texts):
            if len(key) > 2:
                found.setdefault(key, set()).add(card.id)
    parts = Counter(part for identifier in _ids() for part in identifier.split("-"))
    for part, count in parts.items():
        if count > 1:  # a family of cards: it is unclear which one is meant
            found[part] = {each for each in _ids() if part in each.split("-")}
    return found


@cache
def _ids() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))


@cache
def _words() -> dict[str, str]:
    """The ids by the search keys of ids and aliases."""
    return index([load(each) for each in _ids()])


def index(profiles: list[VendorProfile]) -> dict[str, str]:
    """The ids of these cards by search key. Raises ``UsageError`` if two cards have the same key."""
    found: dict[str, str] = {}
    for profile in profiles:
        for word in profile.search_keys:
            if word in found:
                raise UsageError(f"vendors '{found[word]}' and '{profile.id}' are both found as '{word}'")
            found[word] = profile.id
    return found


def _read(path: Path) -> VendorProfile:
    profile = documents.read(path, VendorProfile)
    if profile.id != path.stem:
        lines = path.read_text(encoding="utf-8").splitlines()
        line = next((number for number, text in enumerate(lines, 1) if text.startswith("id:")), 1)
        raise UsageError(f"{path}:{line}: field 'id': '{profile.id}' must be the file's name, '{path.stem}'")
    return profile
