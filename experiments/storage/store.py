"""A folder of results as Parquet: tables in parts, and what they are about.

    FOLDER/experiment.json            what determines the results
    FOLDER/dictionary.json            the columns: types, units, meanings
    FOLDER/TABLE/part-000000.parquet  one part per batch of trials, for each table that has rows
    FOLDER/digest.json                once all trials are there: their number, and a digest of the outcomes
    FOLDER/provenance.json            machine, Python, date, commit: outside of every digest

A part of ``trials`` is written after the other tables' parts: it marks the batch as complete. If a run was
killed, parts of other tables may be there without it. They are removed when the run is resumed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from siplab.experiments.output import provenance
from siplab.experiments.storage import manifest as manifests
from siplab.experiments.storage.manifest import Manifest
from siplab.experiments.storage.parquet import decoded, encoded
from siplab.experiments.storage.places import Place
from siplab.experiments.tables import TABLES, Row, TableName
from siplab.lab.counting import number_of
from siplab.lab.errors import UsageError

DICTIONARY: Final = "dictionary.json"
DIGEST: Final = "digest.json"
_ENDING: Final = ".parquet"


class Store:
    """The results in a place. ``manifest``: what they are about."""

    def __init__(self, place: Place, manifest: Manifest) -> None:
        self.place = place
        self.manifest = manifest

    @classmethod
    def begun(cls, place: Place, manifest: Manifest, *, resume: bool) -> Store:
        """Begin or resume a run. Raises ``UsageError`` if the place has other results."""
        there = place.read(manifests.NAME)
        if there is not None:
            before = manifests.read(there, f"{place.at}/{manifests.NAME}")
            if not resume:
                raise UsageError(
                    f"--parquet {place.at}: there are results in it; --resume goes on with them, "
                    "or name another folder"
                )
            if before != manifest:
                raise UsageError(
                    f"--parquet {place.at}: its results are of {_difference(before, manifest)}; "
                    "name another folder"
                )
            store = cls(place, before)
            store._remove_orphans()
            return store
        store = cls(place, manifest)
        place.write(DICTIONARY, _as_json(manifests.dictionary()))
        place.write(provenance.NAME, _as_json(provenance.provenance()))
        place.write(manifests.NAME, manifest.as_text().encode())
        return store

    @classmethod
    def opened(cls, place: Place) -> Store:
        """Existing results. Raises ``UsageError`` if there are none."""
        there = place.read(manifests.NAME)
        if there is None:
            raise UsageError(
                f"{place.at}: no {manifests.NAME} in it; `siplab run EXPERIMENT --parquet FOLDER` writes it"
            )
        return cls(place, manifests.read(there, f"{place.at}/{manifests.NAME}"))

    # -- parts -----------------------------------------------------------------------------------

    def parts(self) -> set[int]:
        """The numbers of the batches that are complete."""
        return set(map(_number, self.place.names("trials", _ENDING)))

    def has(self, part: int) -> bool:
        """Whether a batch is complete."""
        return self.place.read(_name("trials", part)) is not None

    def write(self, part: int, tables: Mapping[TableName, Sequence[Row]]) -> None:
        """Write a batch. It counts once all of it is written. Raises ``OutputError``."""
        for name in (*(each for each in TABLES if each != "trials"), "trials"):
            rows = tables[name]  # type: ignore[index]
            if rows:
                self.place.write(_name(name, part), encoded(name, rows))  # type: ignore[arg-type]

    def rows(
        self, name: TableName, columns: Sequence[str] | None = None, parts: Iterable[int] | None = None
    ) -> Iterator[Row]:
        """The rows of a table, part by part, perhaps only some ``columns``. Raises ``UsageError``."""
        for part in sorted(self.parts() if parts is None else parts):
            data = self.place.read(_name(name, part))
            if data is None:
                continue
            try:
                yield from decoded(data, columns)
            except (ValueError, OSError) as error:
                reason = str(error).partition("\n")[0]
                raise UsageError(f"{self.place.at}/{_name(name, part)}: no such table: {reason}") from None

    def _remove_orphans(self) -> None:
        there = self.parts()
        for name in TABLES:
            for each in self.place.names(name, _ENDING):
                if _number(each) not in there:
                    self.place.remove(f"{name}/{each}")

    # -- digests ---------------------------------------------------------------------------------

    def digest(self) -> str:
        """A digest of the trials in order: number, key and outcome of each."""
        rows = self.rows("trials", ["trial", "key", "digest"])
        return digest_of((each["trial"], each["key"], each["digest"]) for each in rows)

    def finish(self) -> str:
        """Once all trials are there, write their number and digest. Returns the digest."""
        found = self.digest()
        self.place.write(DIGEST, _as_json({"trials": self.manifest.trials, "digest": found}))
        return found


def digest_of(trials: Iterable[tuple[int, str, str]]) -> str:
    """A digest of trials, sorted by number, so that the order of the rows does not matter."""
    total = hashlib.sha256()
    for number, key, came in sorted(trials):
        total.update(f"{number} {key} {came}\n".encode())
    return total.hexdigest()


def _name(table: str, part: int) -> str:
    return f"{table}/part-{part:06d}{_ENDING}"


def _number(name: str) -> int:
    text = name.removesuffix(_ENDING).removeprefix("part-")
    return int(text) if text.isdecimal() else -1


def _as_json(data: object) -> bytes:
    return (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode()


def _difference(before: Manifest, now: Manifest) -> str:
    """How an earlier run differs from this one, in words."""
    if before.siplab != now.siplab:
        return f"siplab {before.siplab}"
    if before.engine != now.engine:
        return "another state of the lab"
    if before.inputs != now.inputs:
        changed = [
            f"{kind} {name}"
            for kind, some in sorted(before.inputs.items())
            for name, digest in sorted(some.items())
            if now.inputs.get(kind, {}).get(name) not in (None, digest)
        ]
        if changed:
            return f"another state of {changed[0]}"
    if before.batch != now.batch and before.plan == now.plan:
        return f"batches of {number_of(before.batch, 'trial')}"
    return f"another experiment ({before.experiment}, {number_of(before.trials, 'trial', ',')})"
