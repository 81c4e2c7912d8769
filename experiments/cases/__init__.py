"""Reports from the field as experiments: what somebody reported, step by step, each step measured.

A case is a YAML file (``schema.py``). ``playing.py`` runs its trials and says whether they come out as
reported.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from siplab.experiments.cases.schema import Case
from siplab.lab import documents, specs

_FOLDER: Final = Path(__file__).parent


def available() -> list[str]:
    """The ids of the project's own cases."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def load(name: str) -> Case:
    """A case by its id, or by the path of a YAML file. Raises ``UsageError``."""
    if name in available():
        return documents.read(_FOLDER / f"{name}.yaml", Case)
    if name.endswith((".yaml", ".yml")) or "/" in name:
        return documents.read(Path(name), Case)
    raise specs.unknown("case", name, available())
