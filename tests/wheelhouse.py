"""Wheels of the packages installed here, for tests without a network."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

_SCRIPTS = ("..", "bin")


def fill(folder: Path, requirements: Iterable[str]) -> None:
    """Write wheels of these distributions, and of everything they need, into a folder."""
    for each in _closure(requirements):
        _write(each, folder)


def _closure(requirements: Iterable[str]) -> list[Distribution]:
    found: dict[str, Distribution] = {}
    waiting = [Requirement(each) for each in requirements]
    while waiting:
        wanted = waiting.pop()
        extras = ["", *wanted.extras]
        if wanted.marker is not None and not any(wanted.marker.evaluate({"extra": each}) for each in extras):
            continue
        if wanted.name.lower() in found:
            continue
        try:
            made = found[wanted.name.lower()] = distribution(wanted.name)
        except PackageNotFoundError:
            continue  # for another system; pip will report it if it is needed
        for text in made.requires or ():
            inner = Requirement(text)
            if inner.marker is None or any(inner.marker.evaluate({"extra": each}) for each in extras):
                waiting.append(inner)
    return list(found.values())


def _write(made: Distribution, folder: Path) -> None:
    about = made.read_text("WHEEL") or ""
    tags = re.findall(r"^Tag: (\S+)$", about, re.MULTILINE)
    name = re.sub(r"[-_.]+", "_", made.metadata["Name"])
    files = [each for each in made.files or () if ".." not in each.parts and each.suffix != ".pyc"]
    with zipfile.ZipFile(folder / f"{name}-{made.version}-{_joined(tags)}.whl", "w") as wheel:
        for each in files:
            if each.name not in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json"):
                wheel.write(each.locate(), str(each))
        record = next(each for each in files if each.name == "RECORD")
        wheel.writestr(str(record), "".join(f"{each},,\n" for each in files))


def _joined(tags: list[str]) -> str:
    parts = zip(*(each.split("-") for each in tags), strict=True)
    return "-".join(".".join(dict.fromkeys(each)) for each in parts)
