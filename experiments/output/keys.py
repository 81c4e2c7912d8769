"""The key of a trial's result: a digest of all that the result depends on, as far as that can be known.

It covers the trial's settings with their defaults, the parameters of model, scenario, detector and
mitigations, the topology, the world, the project's sources, Python, and users' own code and programs:

- files and folders of plug-ins, with the modules and the data beside a file;
- installed packages with plug-ins, by the RECORD file of their installation;
- programs: the files that their command lines and environments name, with files of the same kind beside them;
- for the gateway ``kernel`` this machine's kernel.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import fields
from functools import cache, lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

from siplab.alg_models.catalogue import ENTRY_POINT_GROUP
from siplab.experiments.trial import registry
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.worlds.network import Network

_ROOMS: Final = ("lab", "alg_models", "topologies", "experiments")
_GROUPS: Final = (ENTRY_POINT_GROUP, registry.DETECTORS_GROUP, registry.SCENARIOS_GROUP)
_SOURCES: Final = (".py", ".yaml", ".yml", ".json")


def key_of(spec: TrialSpec, world: str) -> str:
    """A digest of all that decides a trial's outcome in a world (``simulated`` or ``emulated``)."""
    settings = {each.name: getattr(spec, each.name) for each in fields(spec)}
    program = spec.program
    network = trial.network_of(spec)
    parts = [
        world,
        _sources(),
        sys.version,
        _packages(),
        platform.uname() if spec.gateway == "kernel" else None,
        {**settings, "detector": program.description() if program is not None else spec.detector},
        [] if program is None else [_file_and_beside(each) for each in program.inputs.files],
        _topology(network),
        {n: _model(each, spec.model_paths) for n, each in trial.setup_of(spec, network).models.items()},
        registry.scenarios(spec.scenario_paths).get(spec.scenario).settings if spec.scenario else None,
        registry.detectors(spec.detector_paths).get(spec.detector).settings
        if spec.detector and isinstance(spec.detector, str)
        else None,
        [registry.mitigations().get(each).settings for each in spec.mitigations],
        [plugin_digest(each) for each in (*spec.model_paths, *spec.detector_paths, *spec.scenario_paths)],
    ]
    return hashlib.sha256("\n".join(map(repr, parts)).encode(errors="backslashreplace")).hexdigest()


def unknowable(spec: TrialSpec) -> str:
    """Why a trial may depend on more than its key covers; empty if it does not."""
    if spec.real:
        return "a real program plays in it, with libraries and settings of its own"
    return "" if spec.program is None else spec.program.inputs.unknowable


@lru_cache(maxsize=64)
def _topology(network: Network) -> str:
    return repr(network.topology)


@lru_cache(maxsize=4096)
def _model(name: str, paths: tuple[str, ...]) -> str:
    model = trial.models(paths).get(name)
    return f"{model.id} {model.parameters}"


@cache
def _sources() -> str:
    """A digest of the project's own files, because another version may give other results."""
    return " ".join(map(room_digest, _ROOMS))


@cache
def room_digest(room: str) -> str:
    """A digest of one of the project's folders, for instance ``alg_models``."""
    folder = Path(next(iter(importlib.import_module(f"siplab.{room}").__path__)))
    return _digest(folder, _below(folder))


@cache
def _packages() -> str:
    """The content of installed packages with plug-ins."""
    rows = []
    for group in _GROUPS:
        for point in sorted(entry_points(group=group), key=lambda each: each.name):
            record = "" if point.dist is None else f"{point.dist.version} {point.dist.read_text('RECORD')}"
            module = sys.modules.get(point.module)
            file = getattr(module, "__file__", None)
            # In an editable install, RECORD does not change when the package's files do.
            rows.append(f"{point.name} {point.value} {record} {plugin_digest(file) if file else ''}")
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


@cache
def plugin_digest(place: str) -> str:
    """A digest of a folder's Python, YAML and JSON files, or of a file and the files beside it."""
    path = Path(place)
    if path.is_dir():
        return _digest(path, _below(path))
    beside = [each for each in path.parent.iterdir() if each.suffix in _SOURCES and each.is_file()]
    packages = [each for each in path.parent.iterdir() if (each / "__init__.py").is_file()]
    below = [each for package in packages for each in _below(package)]
    return _digest(path.parent, sorted({path, *beside, *below}))


@cache
def _file_and_beside(path: Path) -> str:
    """A digest of a program's file and of files of its kind beside it, which a script may load."""
    beside = [path]
    if path.suffix:
        beside += [each for each in path.parent.iterdir() if each.suffix == path.suffix and each.is_file()]
    return f"{path} {_digest(path.parent, sorted(set(beside)))}"


def _below(folder: Path) -> list[Path]:
    return sorted(each for each in folder.rglob("*") if each.suffix in _SOURCES and each.is_file())


def _digest(folder: Path, files: list[Path]) -> str:
    total = hashlib.sha256()
    for each in files:
        for piece in _pieces(each):
            total.update(piece)
        total.update(f"\n{each.relative_to(folder)}\n".encode(errors="backslashreplace"))
    return total.hexdigest()


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield f"{os.fstat(file.fileno()).st_size}\n".encode()
            while piece := file.read(1 << 20):
                yield piece
    except OSError as error:  # a file that can't be read has no influence
        yield str(error.errno).encode()
