"""``python -m tools.agreement``: does the lab fail as real software did? Prints each cell, and a sum.

Plays each cell of tests/data/real-cells.tsv with the kinds that stand for the programs: phone ``libre``
(baresip), servers ``proxy-plain`` and ``proxy-detect`` (Kamailio). ``--write`` writes the results into
docs/agreement.md; ``--check`` exits with 1 if the page is out of date. ``--phone`` and
``--nat`` name other kinds: ``--nat "proxy-detect(udp_length=ignore)"``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final, NamedTuple

from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from tools import trials
from tools.pages import DOCS, MadePart

CELLS: Final = Path(__file__).parents[1] / "tests" / "data" / "real-cells.tsv"
PAGE: Final = DOCS / "agreement.md"
PHONE: Final = "libre"
SERVERS: Final = {"plain": "proxy-plain", "nat": "proxy-detect"}
PROGRAMS: Final = {
    "plain": "baresip 1.0.0 + Kamailio 5.6.3",
    "nat": "baresip 1.0.0 + Kamailio 5.6.3 with nathelper and rtpengine 10.5.3",
}
"""The programs in each configuration: phones and server."""
GOAL: Final = 0.97
WORKS: Final = "works"


class Cell(NamedTuple):
    """One combination. ``real``: the check that failed first with real software, or ``works``."""

    config: str
    model: str
    scenario: str
    real: str


def cells() -> list[Cell]:
    """The cells that were tried with real software."""
    lines = CELLS.read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return [Cell(*row) for row in rows[1:]]


def spec_of(cell: Cell, phone: str = PHONE, nat: str = SERVERS["nat"]) -> TrialSpec:
    """The trial that stands for a cell."""
    server = nat if cell.config == "nat" else SERVERS[cell.config]
    return TrialSpec("home", cell.model, cell.scenario, phone=phone, far_phone=phone, server=server)


def first_failed(result: TrialResult) -> str:
    """The check that fails first, by its name in the cells; ``works`` if none fails."""
    name = next((each.name for each in result.checks if not each.passed), WORKS)
    # A real phone shows that it is registered when the server knows it, so one name stands for both checks.
    return "registered" if name == "known to the server" else name


def play(phone: str = PHONE, nat: str = SERVERS["nat"]) -> list[tuple[Cell, str]]:
    """All cells, each with the lab's result. Raises ``SystemExit`` for an invalid trial."""
    found = []
    for cell in cells():
        result = trials.result(spec_of(cell, phone, nat))
        if result.errors:
            raise SystemExit(f"{result.spec.name}: {result.errors[0]}")
        found.append((cell, first_failed(result)))
    return found


def table() -> str:
    """The number of cells that agree, and a list of those that do not, in Markdown."""
    found = play()
    apart = [(cell, lab) for cell, lab in found if lab != cell.real]
    lines = [f"{len(found) - len(apart)} of {len(found)} cells agree ({1 - len(apart) / len(found):.1%})."]
    if apart:
        lines += [
            "",
            "| configuration | model | scenario | real software | the lab |",
            "|---|---|---|---|---|",
        ]
    for cell, lab in apart:
        lines.append(f"| {cell.config} | `{cell.model}` | `{cell.scenario}` | {cell.real} | {lab} |")
    return "\n".join([*lines, ""])


PART: Final = MadePart(PAGE, "agreement", table)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.agreement", description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--phone", default=PHONE)
    parser.add_argument("--nat", default=SERVERS["nat"])
    options = parser.parse_args()
    if options.write or options.check:
        return PART.main()
    found = play(options.phone, options.nat)
    for cell, lab in found:
        mark = "" if lab == cell.real else f"   real software: {cell.real}"
        print(f"{cell.config:6}{cell.model:32}{cell.scenario:16}{lab:14}{mark}".rstrip())
    agreed = sum(lab == cell.real for cell, lab in found)
    print(f"{agreed} of {len(found)} cells agree ({agreed / len(found):.1%})")
    return int(agreed < GOAL * len(found))


if __name__ == "__main__":
    sys.exit(main())
