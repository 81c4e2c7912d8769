"""The journal of a run: each trial's result as soon as it is there. Nothing of an interrupted run is lost.

``results.jsonl``, beside ``results.json``: one line per trial, with a key that says what it holds for. The
rules of this file:

- A line is written with one call and ends with a newline: what follows the last newline was cut off by the
  end of the process, and does not count.
- The key is a digest of everything that decides a trial: its settings with their defaults, the parameters of
  model, scenario, detector and mitigations, the topology, the world, files of the user's own, and the
  project's sources. A result of anything else is not used again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import cache, lru_cache
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, get_type_hints

from pydantic import TypeAdapter

from siplab.experiments.output import digests
from siplab.experiments.trial import registry
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError

NAME: Final = "results.jsonl"
_ROOMS: Final = ("lab", "alg_models", "topologies", "experiments")


class Journal:
    """``with Journal(folder, world, resume=...) as journal``: ``known`` first, then ``add`` after each trial.

    Without ``resume`` what the folder has of a former run is dropped. Raises ``UsageError`` when it can't be
    written.
    """

    def __init__(self, folder: Path, world: str, *, resume: bool = False) -> None:
        self.path = folder / NAME
        self._world = world
        self._rows: dict[str, dict[str, Any]] = {}
        try:
            whole = 0
            if resume and self.path.exists():
                data = self.path.read_bytes()
                whole = data.rfind(b"\n") + 1
                self._rows = {row["key"]: row["result"] for row in _rows(data[:whole], str(self.path))}
            self._file: IO[bytes] = self.path.open("r+b" if whole else "wb", buffering=0)
            self._file.truncate(whole)
            self._file.seek(whole)
        except OSError as error:
            raise UsageError(f"{self.path}: {error.strerror}") from None

    def known(self, specs: Sequence[TrialSpec]) -> dict[int, TrialResult]:
        """The results that are there already, by the number of their trial. Invalid ones do not count."""
        if not self._rows:
            return {}
        found = {}
        for index, spec in enumerate(specs):
            row = self._rows.get(key_of(spec, self._world))
            if row is not None and not row["errors"]:
                found[index] = from_json(spec, row)
        return found

    def add(self, result: TrialResult) -> None:
        """Write down one result."""
        row = {"key": key_of(result.spec, self._world), "result": result.as_json()}
        self._file.write((json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n").encode())

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def results_in(path: Path) -> list[dict[str, Any]]:
    """The trials of a journal as plain data, as they are in ``results.json``. Raises ``UsageError``."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    whole = data[: data.rfind(b"\n") + 1]
    # A trial may have been run again since: the last result counts.
    return list({row["key"]: row["result"] for row in _rows(whole, str(path))}.values())


def _rows(data: bytes, name: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(data.splitlines(), 1):
        try:
            row = json.loads(line)
            if not isinstance(row["key"], str) or not isinstance(row["result"]["errors"], list):
                raise TypeError
        except (ValueError, KeyError, TypeError):
            raise UsageError(f"{name}:{number}: no result of a trial; start anew without --resume") from None
        yield row


# -- results from plain data -------------------------------------------------------------------------


@cache
def _readers() -> dict[str, TypeAdapter[Any]]:
    """What reads each field of a result but its trial, which is known."""
    hints = get_type_hints(TrialResult)
    return {each.name: TypeAdapter(hints[each.name]) for each in fields(TrialResult) if each.name != "spec"}


def from_json(spec: TrialSpec, row: dict[str, Any]) -> TrialResult:
    """The result that ``TrialResult.as_json`` gave. Raises ``UsageError`` when it is none."""
    try:
        values = {name: each.validate_python(row[name]) for name, each in _readers().items() if name in row}
        return TrialResult(spec, **values)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{spec.name}: its stored result can't be read: {error}") from None


# -- what a result holds for ---------------------------------------------------------------------------


def key_of(spec: TrialSpec, world: str) -> str:
    """A digest of all that decides what comes of a trial in a world (``simulated`` or ``emulated``)."""
    settings = {each.name: getattr(spec, each.name) for each in fields(spec)}
    program = spec.program
    network = trial.network_of(spec)
    parts = [
        world,
        _sources(),
        {**settings, "detector": program.description() if program is not None else spec.detector},
        network.topology,
        {n: _model(each, spec.model_paths) for n, each in trial.setup_of(spec, network).models.items()},
        registry.scenarios(spec.scenario_paths).get(spec.scenario).settings if spec.scenario else None,
        registry.detectors(spec.detector_paths).get(spec.detector).settings
        if spec.detector and isinstance(spec.detector, str)
        else None,
        [registry.mitigations().get(each).settings for each in spec.mitigations],
        [digests.files(each) for each in (*spec.model_paths, *spec.detector_paths, *spec.scenario_paths)],
    ]
    return hashlib.sha256("\n".join(map(repr, parts)).encode()).hexdigest()


@lru_cache(maxsize=4096)
def _model(name: str, paths: tuple[str, ...]) -> str:
    model = trial.models(paths).get(name)
    return f"{model.id} {model.parameters}"


def _sources() -> str:
    """A digest of the project's own files: another version may give other results."""
    return " ".join(map(digests.sources, _ROOMS))
