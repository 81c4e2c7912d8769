"""The networks that trials run in: one YAML file each, and how to find them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from lab import documents
from lab.errors import UsageError
from lab.worlds.topology import Topology

_FOLDER = Path(__file__).parent


def available() -> list[str]:
    """The ids of the topologies that come with the project."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


@lru_cache(maxsize=64)
def load(name: str) -> Topology:
    """A topology by id, or from the path of a YAML file. Raises ``UsageError``."""
    if name.endswith((".yaml", ".yml")) or "/" in name:
        return documents.read(Path(name), Topology)
    if name not in available():
        raise UsageError(
            f"unknown topology '{name}'; known are {', '.join(available())}, or the path of a file"
        )
    return documents.read(_FOLDER / f"{name}.yaml", Topology)
