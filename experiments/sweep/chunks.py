"""Divides the trials of a plan into batches.

Trials that differ only in the model can share a run (``trial.sharing``). So trials of one setting are
adjacent in a batch, and if possible a batch ends between two settings. The batches of a plan are the same
each time, so a resumed run finds those that are there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from siplab.experiments.tables.inputs import engine, inputs_of
from siplab.experiments.trial.sharing import setting_of
from siplab.experiments.trial.spec import TrialSpec


@dataclass(frozen=True)
class Chunk:
    """A batch: its number, from 0, and its trials with their numbers in the experiment, from 1."""

    part: int
    trials: tuple[tuple[int, TrialSpec], ...]


def chunks(specs: Sequence[TrialSpec], size: int) -> Iterator[Chunk]:
    """The batches of a plan, with at most ``size`` trials each."""
    settings: dict[TrialSpec, list[int]] = {}
    for number, spec in enumerate(specs, 1):
        settings.setdefault(setting_of(spec), []).append(number)
    part, gathered = 0, list[int]()

    def made() -> Chunk:
        return Chunk(part, tuple((number, specs[number - 1]) for number in gathered))

    for numbers in settings.values():
        if gathered and len(gathered) + len(numbers) > size:
            yield made()
            part, gathered = part + 1, []
        for number in numbers:
            gathered.append(number)
            if len(gathered) == size:
                yield made()
                part, gathered = part + 1, []
    if gathered:
        yield made()


@dataclass(frozen=True)
class Ingredients:
    """What determines the results of a plan.

    ``plan``: a digest of its trials; ``engine``, ``inputs`` (by kind and name): see ``tables.inputs``.
    """

    plan: str
    engine: str
    inputs: dict[str, dict[str, str]]


def ingredients(specs: Sequence[TrialSpec]) -> Ingredients:
    """The ingredients of these trials. Raises ``UsageError`` if a trial names something unknown."""
    plan = hashlib.sha256()
    inputs: dict[str, dict[str, str]] = {}
    for spec in specs:
        named = (spec.topology, spec.model, spec.played, spec.mitigations, spec.control, spec.gateway)
        ends = (spec.phone, spec.server, spec.far_phone)
        plan.update(
            repr((named, ends, spec.seed, spec.longest, spec.reach)).encode(errors="backslashreplace")
        )
        for (kind, name), digest in inputs_of(spec).items():
            inputs.setdefault(kind, {})[name] = digest
    return Ingredients(plan.hexdigest(), engine(), inputs)
