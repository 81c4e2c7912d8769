"""``experiment.json``: what determines the results beside it, and nothing else.

Machine, kernel, Python, date and commit are in ``provenance.json``, which no digest covers.
"""

from __future__ import annotations

import json
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from siplab.experiments.tables import TABLES
from siplab.lab import documents
from siplab.lab.errors import UsageError
from siplab.lab.version import __version__

NAME: Final = "experiment.json"
VERSION: Final = 1


class Manifest(BaseModel):
    """What the results in a folder are of.

    ``plan``: a digest of all trials, in order; ``batch``: how many trials a part has at most. ``engine`` and
    ``inputs``: digests of what the trials consist of, by kind and name (``tables.inputs``). ``model_paths``,
    ``detector_paths``, ``scenario_paths``: users' own files, where they were.
    """

    # protected_namespaces: pydantic before 2.10 warns of `model_paths`.
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    version: int = VERSION
    siplab: str = __version__
    experiment: str
    world: str
    seeds: list[int]
    trials: int
    batch: int
    plan: str
    engine: str
    inputs: dict[str, dict[str, str]]
    model_paths: list[str] = []
    detector_paths: list[str] = []
    scenario_paths: list[str] = []
    reach: bool = False

    def as_text(self) -> str:
        """The manifest as JSON, the same for the same experiment."""
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def read(data: bytes, where: str) -> Manifest:
    """Parse a manifest. Raises ``UsageError`` that names the file and the field."""
    what = "description of results of `siplab run --parquet`"
    found = documents.parse_json(documents.decoded(data, where), Manifest, where, what)
    if found.version != VERSION:
        raise UsageError(f"{where}: version {found.version} of the format, and this siplab knows {VERSION}")
    return found


def dictionary() -> dict[str, Any]:
    """The data dictionary: tables, columns, types, units, meanings."""
    return {name: [each.as_json() for each in columns] for name, columns in TABLES.items()}
