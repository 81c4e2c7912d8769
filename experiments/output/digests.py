"""Digests of files: whether results are of the same sources."""

from __future__ import annotations

import hashlib
import importlib
import os
from functools import cache
from pathlib import Path


@cache
def sources(room: str) -> str:
    """A digest of one of the project's folders, as ``alg_models``."""
    folder = Path(next(iter(importlib.import_module(f"siplab.{room}").__path__)))
    return files(str(folder))


@cache
def files(place: str) -> str:
    """A digest of a file, or of the Python and YAML files in a folder."""
    path = Path(place)
    total = hashlib.sha256()
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    for each in found:
        if each.suffix in (".py", ".yaml", ".yml", ".json") or each == path:
            with each.open("rb") as file:
                total.update(f"{each.relative_to(path)}\n{os.fstat(file.fileno()).st_size}\n".encode())
                total.update(file.read())
    return total.hexdigest()
