"""Digests of what a trial consists of. They tell whether a stored result is still valid.

An *input* is something that a trial names: a model, a topology, a scenario, a detector, a mitigation, a kind
of phone or server, a clean control. Its digest covers its parameters and the sources of all its modules that
are not part of the engine. The *engine* is what all trials have in common: the rooms ``lab`` and
``experiments/trial``. So a change in the engine may change any result, and a change in an input may change
the results of the trials that name it.

The same sources give the same digests on every machine, with every Python and every hash seed.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel

from siplab import topologies
from siplab.alg_models.profiles import Profile
from siplab.experiments.output.keys import plugin_digest, room_digest
from siplab.experiments.tables.endpoints import endpoints_of
from siplab.experiments.trial import assignment, controls, registry
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec, is_program
from siplab.lab.gateway.alg import Model

InputKind = Literal["model", "topology", "scenario", "detector", "mitigation", "phone", "server", "control"]
_ENGINE: Final = ("siplab.lab", "siplab.experiments.trial")
_SIZE: Final = 16  # bytes of a digest: even among 10^9 inputs no two are the same


def digest(text: str) -> str:
    """A digest of a text, in hexadecimal."""
    return hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=_SIZE).hexdigest()


@cache
def engine() -> str:
    """A digest of what all trials have in common."""
    return digest(" ".join(room_digest(each) for each in ("lab", "experiments.trial")))


def inputs_of(spec: TrialSpec) -> dict[tuple[InputKind, str], str]:
    """The inputs of a trial, with their digests. Raises ``UsageError`` for an unknown name."""
    kinds = endpoints_of(spec)
    # Includes models that run in place of others because of a mitigation.
    run = trial.setup_of(spec, trial.network_of(spec)).models.values()
    models = sorted({*assignment.models_of(spec.model, topologies.load(spec.topology)).values(), *run})
    found: dict[tuple[InputKind, str], str] = {("topology", spec.topology): _topology(spec.topology)}
    found |= {("model", each): _model(each, spec.model_paths) for each in models}
    if spec.scenario:
        found["scenario", spec.scenario] = _played("scenario", spec.scenario, spec.scenario_paths)
    elif spec.program is not None:
        found["detector", spec.program.id] = digest(spec.program.description())
    else:
        found["detector", str(spec.detector)] = _played("detector", str(spec.detector), spec.detector_paths)
    found |= {("mitigation", each): _endpoint("mitigation", each) for each in spec.mitigations}
    found |= {("phone", each): _endpoint("phone", each) for each in (kinds["phone"], kinds["far_phone"])}
    found["server", kinds["server"]] = _endpoint("server", kinds["server"])
    if spec.control:
        found["control", spec.control] = _control(spec.control)
    return found


def key_of(spec: TrialSpec, world: str) -> str:
    """A digest of all that a result depends on: the engine, the inputs, the seed, and the settings.

    Raises ``UsageError`` for an unknown name.
    """
    named = endpoints_of(spec)
    rest = (spec.topology, spec.model, spec.played, spec.mitigations, named, spec.control)
    parts = [
        engine(),
        world,
        *map(repr, (*rest, spec.seed, spec.longest, spec.gateway)),
        *(f"{kind} {name} {each}" for (kind, name), each in sorted(inputs_of(spec).items())),
    ]
    return digest("\n".join(parts))


# -- kinds of inputs ---------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _model(name: str, paths: tuple[str, ...]) -> str:
    known = trial.models(paths)
    model = known.get(name)
    behind: Model | None = model.behind if isinstance(model, Profile) else model
    if behind is None:
        return digest("unknown")
    classes = {type(each) for each in behind.steps} | {type(each) for each in (behind.fault,) if each}
    users = known.origin(name)
    return digest(
        "\n".join(
            (
                _written(behind.recipe),
                *_sources({each.__module__ for each in classes}),
                *(plugin_digest(each) for each in paths if users),
            )
        )
    )


@lru_cache(maxsize=1024)
def _topology(name: str) -> str:
    return digest(_written(topologies.load(name).model_dump(mode="json", by_alias=True)))


@lru_cache(maxsize=4096)
def _played(kind: Literal["scenario", "detector"], name: str, paths: tuple[str, ...]) -> str:
    known = registry.scenarios(paths) if kind == "scenario" else registry.detectors(paths)
    beside = [plugin_digest(each) for each in paths] if known.origin(name) else []
    return digest("\n".join((_settings(known.get(name).settings), *beside)))


@lru_cache(maxsize=1024)
def _endpoint(kind: Literal["mitigation", "phone", "server"], name: str) -> str:
    if is_program(name):  # its content depends on the machine
        return digest(name)
    known = {"mitigation": registry.mitigations, "phone": registry.phones, "server": registry.servers}
    return digest(_settings(known[kind]().get(name).settings))


@cache
def _control(name: str) -> str:
    return digest(_settings(controls.get(name)))


def _settings(settings: object) -> str:
    return "\n".join((_written(settings), *_sources({type(settings).__module__})))


# -- what they are made of ---------------------------------------------------------------------------


def _written(value: object) -> str:
    """A value as text; equal values give the same text. Of an object without fields, its type's name."""
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return repr(value)
    if isinstance(value, Enum):
        return f"{type(value).__qualname__}.{value.name}"
    if isinstance(value, Mapping):
        return "{" + ",".join(sorted(f"{_written(k)}:{_written(v)}" for k, v in value.items())) + "}"
    if isinstance(value, set | frozenset):
        return "{" + ",".join(sorted(map(_written, value))) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_written, value)) + "]"
    if isinstance(value, BaseModel):
        return f"{type(value).__qualname__}{_written(value.model_dump(mode='json'))}"
    if is_dataclass(value) and not isinstance(value, type):
        inner = (f"{each.name}={_written(getattr(value, each.name))}" for each in fields(value))
        return f"{type(value).__qualname__}({','.join(inner)})"
    named: Any = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}.{named.__qualname__}"


def _sources(modules: set[str]) -> list[str]:
    """Digests of modules and of all that they import, without the engine."""
    found: set[str] = set()
    waiting = sorted(modules)
    while waiting:
        name = waiting.pop()
        if name not in found and not _in_engine(name):
            found.add(name)
            waiting += _imports(name)
    return [f"{name} {_source(name)}" for name in sorted(found)]


def _in_engine(module: str) -> bool:
    return not module.startswith("siplab.") or any(
        module == each or module.startswith(f"{each}.") for each in _ENGINE
    )


def _file(module: str) -> Path | None:
    loaded = sys.modules.get(module)
    place = getattr(loaded, "__file__", None)
    if place is None:
        found = importlib.util.find_spec(module)
        place = found.origin if found is not None else None
    return Path(place) if place else None


@cache
def _source(module: str) -> str:
    """A digest of a module's file, and of the data files beside it that it names."""
    file = _file(module)
    if file is None:
        return ""
    text = file.read_bytes()
    beside = sorted(each for each in file.parent.iterdir() if each.suffix in (".json", ".yaml"))
    named = [each.read_bytes() for each in beside if each.name.encode() in text]
    return hashlib.sha256(b"\n".join((text, *named))).hexdigest()


@cache
def _imports(module: str) -> tuple[str, ...]:
    """The modules of the project that a module imports."""
    file = _file(module)
    if file is None or file.suffix != ".py":
        return ()
    return tuple(dict.fromkeys(_imported(ast.parse(file.read_bytes()))))


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.startswith("siplab."))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("siplab"):
            for each in node.names:
                inner = f"{node.module}.{each.name}"
                yield inner if _is_module(inner) else node.module


@cache
def _is_module(name: str) -> bool:
    if name in sys.modules:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
