"""Compares the lab with real software: does the same model and scenario fail in the same way?

A cell is a model and a scenario, with one kind of phone on both sides and one kind of server. The check that
fails first is compared. Timing varies with real programs. So if the two differ, the real trial is repeated,
and its most frequent outcome counts.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from siplab.experiments.programs import kinds
from siplab.experiments.trial import runner
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab import documents
from siplab.lab.counting import number_of
from siplab.lab.errors import UsageError

WORKS: Final = "works"
NOT_APPLICABLE: Final = "not applicable"
ERROR: Final = "error"
COLUMNS: Final = ("phone", "server", "model", "scenario", "real")


@dataclass(frozen=True)
class Cell:
    """``phone`` and ``server`` are real programs, without ``program:``."""

    phone: str
    server: str
    model: str
    scenario: str

    def real(self, seed: int = 1) -> TrialSpec:
        """The trial with the real programs."""
        phone, server = f"{kinds.PREFIX}{self.phone}", f"{kinds.PREFIX}{self.server}"
        return TrialSpec(
            "home",
            self.model,
            self.scenario,
            seed=seed,
            phone=phone,
            far_phone=phone,
            server=server,
        )

    def lab(self) -> TrialSpec:
        """The trial with the lab's kinds that imitate these programs. Raises ``UsageError``."""
        phone, server = kinds.get(self.phone, "phone").like, kinds.get(self.server, "server").like
        return replace(self.real(), phone=phone, far_phone=phone, server=server)


@dataclass(frozen=True)
class Row:
    """``real`` and ``lab``: what failed first. ``counts``: how often each real outcome occurred."""

    cell: Cell
    real: str
    lab: str
    counts: tuple[tuple[str, int], ...] = ()

    @property
    def agrees(self) -> bool:
        return self.real == self.lab


def first_failed(result: TrialResult) -> str:
    """The check that fails first; or that none fails, that the scenario does not apply, or an error."""
    if result.errors:
        return ERROR
    if result.not_applicable:
        return NOT_APPLICABLE
    name = next((each.name for each in result.checks if not each.passed), WORKS)
    # A real phone may report its registration before the server can be asked, so both checks count as one.
    return "registered" if name == "known to the server" else name


def play(
    cells: Sequence[Cell],
    *,
    jobs: int,
    repeat: int = 3,
    expected: Callable[[Cell], str | None] = lambda cell: None,
    progress: Callable[[TrialResult], None] = lambda result: None,
) -> list[Row]:
    """Play the cells. If the real outcome is not the expected one, it is played ``repeat`` times in all.

    Expected is what ``expected`` returns, else the outcome with the lab's own agents. Needs the emulated
    world.
    """
    lab = [first_failed(each) for each in runner.run_all([each.lab() for each in cells], world="simulated")]
    seen: list[list[str]] = [[] for _ in cells]
    wanted = list(range(len(cells)))
    for number in range(repeat):
        specs = [cells[at].real(1 + number) for at in wanted]
        results = runner.run_all(specs, world="emulated", jobs=jobs, progress=progress)
        for at, result in zip(wanted, results, strict=True):
            seen[at].append(first_failed(result))
        wanted = [at for at in wanted if not _settled(seen[at], expected(cells[at]) or lab[at], repeat)]
        if not wanted:
            break
    return [Row(cell, *_most(seen[at], lab[at])) for at, cell in enumerate(cells)]


def _settled(seen: list[str], expected: str, repeat: int) -> bool:
    """Whether more runs are not needed, or would not change the result."""
    most = Counter(seen).most_common(1)[0][1]
    return seen == [expected] or most > repeat // 2


def _most(seen: list[str], lab: str) -> tuple[str, str, tuple[tuple[str, int], ...]]:
    counts = Counter(seen).most_common()
    return counts[0][0], lab, tuple(counts)


def read(path: Path) -> list[tuple[Cell, str]]:
    """The cells in a file, with the outcome seen in each. Raises ``UsageError``."""
    lines = [line for line in documents.text(path).splitlines() if line and not line.startswith("#")]
    rows = list(csv.reader(lines, delimiter="\t"))
    if not rows or tuple(rows[0]) != COLUMNS:
        raise UsageError(f"{path}: the first row must be: {' '.join(COLUMNS)}, with tabs between")
    for number, row in enumerate(rows[1:], 1):
        if len(row) != len(COLUMNS):
            raise UsageError(f"{path}: cell {number} has {number_of(len(row), 'column')}, not {len(COLUMNS)}")
    return [(Cell(*row[:4]), row[4]) for row in rows[1:]]


def written(rows: Iterable[Row], versions: Iterable[str]) -> str:
    """The text of a file for ``read``. The programs' versions are at the top."""
    out = io.StringIO()
    for each in versions:
        out.write(f"# {each}\n")
    writer = csv.writer(out, delimiter="\t", lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        cell = row.cell
        writer.writerow((cell.phone, cell.server, cell.model, cell.scenario, row.real))
    return out.getvalue()


def versions(cells: Iterable[Cell]) -> list[str]:
    """Name and version of each program in the cells. Raises ``UsageError`` for an unknown one."""
    used = dict.fromkeys(
        chosen for cell in cells for chosen in (("phone", cell.phone), ("server", cell.server))
    )
    return list(dict.fromkeys(text for role, name in used for text in kinds.get(name, role).versions()))
