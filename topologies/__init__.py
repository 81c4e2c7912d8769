"""The networks that trials run in: one YAML file each, and how to find them."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from siplab.lab import documents, specs
from siplab.lab.errors import UsageError
from siplab.lab.worlds.topology import LINK_PARAMETERS, NAT_PARAMETERS, Topology, Variant, varied
from siplab.topologies import from_mininet

_FOLDER = Path(__file__).parent


def available() -> list[str]:
    """The ids of the topologies that come with the project."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def short_name(spec: str) -> str:
    """A topology's spec without folders, for the names of trials: the same wherever the file is."""
    return re.sub(r"^[^()]*/|\.(?:ya?ml|py)(?=[(:]|$)", "", spec)


@lru_cache(maxsize=256)
def load(spec: str) -> Topology:
    """The topology of a spec: an id, or the path of a YAML or Mininet file; with parameters or without.

    Parameters, ``(name=value)``, are the fields of ``nat`` and of ``networks``, see ``varied``. Raises
    ``UsageError``.
    """
    return _load(spec, ())


def _load(spec: str, before: tuple[str, ...]) -> Topology:
    name, values = specs.parse(spec, "topology") if spec.endswith(")") else (spec, {})
    if name in before:
        raise UsageError(f"topology '{name}' is 'like' itself: {' -> '.join((*before, name))}")
    topology = _read(name, before)
    if not values:
        return topology
    try:
        return varied(topology, values)
    except KeyError as error:
        known = ", ".join((*LINK_PARAMETERS, *NAT_PARAMETERS))
        raise UsageError(f"topology '{name}' has no parameter {error} (parameters: {known})") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = next((str(part) for part in reversed(first["loc"]) if part in values), "")
        message = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"topology '{spec}'{where and f', parameter {where!r}'}: {message}") from None


def _read(name: str, before: tuple[str, ...]) -> Topology:
    if from_mininet.is_one(name):
        return from_mininet.load(name)
    if name.endswith((".yaml", ".yml")) or "/" in name:
        path = Path(name)
    elif name in available():
        path = _FOLDER / f"{name}.yaml"
    else:
        if _is_there(name):
            raise UsageError(f"{name}: a topology's file ends in .yaml, .yml or .py")
        near = str(specs.unknown("topology", name, available())).replace("topologys", "topologies")
        raise UsageError(f"{near}; or the path of a file")
    if not _is_variant(path):
        return _found_files(documents.read(path, Topology), path.parent)
    variant = documents.read(path, Variant)
    try:
        origin = _load(variant.like, (*before, name))
    except UsageError as error:
        raise UsageError(f"{path}: field 'like': {error}") from None
    return origin.model_copy(update={"id": variant.id, "summary": variant.summary})


def _found_files(topology: Topology, folder: Path) -> Topology:
    """The topology with absolute paths of its images' files; relative ones count from ``folder``.

    Raises ``UsageError``.
    """
    if not topology.images:
        return topology
    changed: dict[str, dict[str, Any]] = {"hosts": {}, "routers": {}}
    for kind, nodes in (("hosts", topology.hosts), ("routers", topology.routers)):
        for name, node in nodes.items():
            image = node.image and node.image.beside(folder)
            changed[kind][name] = node.model_copy(update={"image": image})
            for target, source in (image.files if image else {}).items():
                if not Path(source).is_file():
                    field = f"{kind}.{name}.image.files.{target}"
                    raise UsageError(f"topology '{topology.id}': field '{field}': no file {source}")
    return topology.model_copy(update=changed)


def _is_there(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):  # nothing can be called that
        return False


def _is_variant(path: Path) -> bool:
    try:
        return re.search(r"^like\s*:", path.read_text(encoding="utf-8"), re.MULTILINE) is not None
    except (OSError, UnicodeDecodeError):
        return False  # ``documents.read`` says what is the matter
