"""The vendors' cards: one YAML file each, and how to find them by id or by what people call them."""

from __future__ import annotations

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
    """A card by id, by alias, or from the path of a YAML file. Raises ``UsageError``."""
    if name.endswith((".yaml", ".yml")) or "/" in name:
        return _read(Path(name))
    if name in _ids():
        return _read(_FOLDER / f"{name}.yaml")
    identifier = called(name)
    if identifier is None:
        aliases = [alias for each in _ids() for alias in load(each).aliases]
        raise specs.unknown("vendor", name, [*_ids(), *aliases])
    return load(identifier)


def called(name: str) -> str | None:
    """The id of the card that people find by this word, if there is one."""
    return _words().get(search_key(name))


@cache
def _ids() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))


@cache
def _words() -> dict[str, str]:
    """The id behind each word that a card is found by."""
    return index([load(each) for each in _ids()])


def index(profiles: list[VendorProfile]) -> dict[str, str]:
    """Search key to id. Raises ``UsageError`` when two cards claim one word."""
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
