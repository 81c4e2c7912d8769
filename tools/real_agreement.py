"""``python -m tools.real_agreement``: the lab beside what real software had in tests/data/agreement.tsv.

Plays the lab's side only, and writes the part of docs/agreement.md that follows; ``--check`` exits with 1 if
the page is out of date. ``siplab agree --cells tests/data/agreement.tsv`` plays both sides.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Final

from siplab.experiments.programs import agreement
from siplab.experiments.programs.agreement import Cell, Row
from tools import trials
from tools.pages import DOCS, MadePart

CELLS: Final = Path(__file__).parents[1] / "tests" / "data" / "agreement.tsv"
PAGE: Final = DOCS / "agreement.md"


def rows(every: int = 1) -> list[Row]:
    """Each cell, or one in so many, with what was seen and what the lab has."""
    return [
        Row(cell, real, agreement.first_failed(trials.result(cell.lab())))
        for cell, real in agreement.read(CELLS)[::every]
    ]


def table() -> str:
    """How many cells agree, by phone and server, and those that do not, in Markdown."""
    found = rows()
    total, agreed = Counter(map(_pair, found)), Counter(_pair(each) for each in found if each.agrees)
    lines = ["| phones | server | cells | agree |", "|---|---|---|---|"]
    for pair, count in total.items():
        phone, server = pair
        lines.append(f"| {phone} | {server} | {count} | {agreed[pair]} ({agreed[pair] / count:.1%}) |")
    lines += [
        "",
        "| phones | server | model | scenario | real software | the lab |",
        "|---|---|---|---|---|---|",
    ]
    for each in found:
        if not each.agrees:
            cell: Cell = each.cell
            where = f"{cell.phone} | {cell.server} | `{cell.model}` | `{cell.scenario}`"
            lines.append(f"| {where} | {each.real} | {each.lab} |")
    return "\n".join([*lines, ""])


def _pair(row: Row) -> tuple[str, str]:
    return row.cell.phone, row.cell.server


PART: Final = MadePart(PAGE, "real_agreement", table, "cells")


if __name__ == "__main__":
    sys.exit(PART.main())
