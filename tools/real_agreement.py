"""``python -m tools.real_agreement``: compare the lab with real software's results, tests/data/agreement.tsv.

Runs the lab's side only, and writes the result into docs/agreement.md; ``--check`` exits with 1 if
the page is out of date. ``siplab agree --cells tests/data/agreement.tsv`` runs both sides.
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
    """Each cell, or every n-th, with the result of real software and that of the lab."""
    return [
        Row(cell, real, agreement.first_failed(trials.result(cell.lab())))
        for cell, real in agreement.read(CELLS)[::every]
    ]


def table() -> str:
    """The number of cells that agree, by phone and server, and a list of those that do not, in Markdown."""
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
