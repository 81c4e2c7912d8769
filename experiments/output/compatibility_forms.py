"""A table of routers by scenarios in forms for papers: tidy rows, CSV, Markdown, LaTeX."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from siplab.experiments.output import compatibility
from siplab.experiments.output.compatibility import Compatibility, Key
from siplab.experiments.output.compatibility_groups import By, grouped, groups
from siplab.experiments.trial.rates import Rate

_TOLD: Final = ("status", "working", "trials", "check", "symptom", "why", "changed", "command")
_WHERE: Final = ("subject", "topology", "phone", "server", "remedy", "scenario")
_LATEX: Final = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{each: f"\\{each}" for each in "&%$#_{}"},
}


class Block(NamedTuple):
    """One table to print: that of one setting and one mitigation."""

    title: str
    heads: tuple[str, ...]
    rows: list[tuple[str, ...]]


def rows(table: Compatibility, by: By | None = None) -> list[dict[str, Any]]:
    """One row per cell, or per group and scenario, in the order of the table. No value is a list."""
    if by is not None:
        return [
            {
                by: each.group,
                **dict(zip(("topology", "phone", "server"), each.setting, strict=True)),
                "remedy": each.remedy,
                "scenario": each.scenario,
                "routers": each.routers,
                "working": each.rate.count,
                "trials": each.rate.of,
                **_interval(each.rate),
            }
            for each in grouped(table, by)
        ]
    about = {each.id: each for each in table.subjects}
    return [
        {
            **{name: getattr(each.key, name) for name in _WHERE},
            "evidence": about[each.key.subject].evidence,
            **{name: getattr(each, name) for name in _TOLD},
            **_interval(each.rate),
            "kind": about[each.key.subject].kind,
            "class": about[each.key.subject].fault_class,
            "vendor": about[each.key.subject].vendor,
        }
        for each in table.cells
    ]


def _interval(rate: Rate) -> dict[str, float | None]:
    low, high = rate.interval or (None, None)
    return {"share": rate.value, "low": low, "high": high}


def as_csv(table: Compatibility, by: By | None = None) -> str:
    """The rows as CSV. Shares have four digits; they are empty if nothing was counted."""
    found = rows(table, by)
    file = io.StringIO()
    writer = csv.DictWriter(file, list(found[0]) if found else [], lineterminator="\n")
    writer.writeheader()
    for row in found:
        writer.writerow(
            {name: round(each, 4) if isinstance(each, float) else each for name, each in row.items()}
        )
    return file.getvalue()


def blocks(table: Compatibility, by: By | None = None) -> Iterator[Block]:
    """One table for each setting and mitigation, with its cells in words."""
    cells = {each.key: each for each in table.cells}
    sums = {
        (each.group, each.scenario, each.remedy, each.setting): each for each in grouped(table, by or "class")
    }
    for setting in table.settings:
        topology, phone, server = setting
        for remedy in table.remedies:
            words = (topology, phone and f"phone {phone}", server and f"server {server}")
            title = ", ".join(filter(None, (*words, remedy and f"with {remedy}")))
            if by is not None:
                lines = [
                    (
                        group,
                        *(
                            compatibility.counted(sums[group, scenario, remedy, setting].rate)
                            for scenario in table.scenarios
                        ),
                    )
                    for group in groups(table, by)
                ]
                yield Block(title, (by, *table.scenarios), lines)
                continue
            lines = [
                (
                    subject.id,
                    *(
                        compatibility.word(cells[Key(subject.id, scenario, remedy, *setting)])
                        for scenario in table.scenarios
                    ),
                    subject.evidence,
                )
                for subject in table.subjects
            ]
            yield Block(title, ("router", *table.scenarios, "evidence"), lines)


def as_markdown(table: Compatibility, by: By | None = None) -> str:
    """One table for each setting and mitigation."""
    lines: list[str] = []
    for block in blocks(table, by):
        lines += [f"**{_markdown(block.title)}**", "", _line(block.heads), "|" + "---|" * len(block.heads)]
        lines += [*(_line(row) for row in block.rows), ""]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_markdown, cells))} |"


def _markdown(text: str) -> str:
    return re.sub(r"([\\|<>*_`\[\]])", r"\\\1", text).replace("\n", " ")


def as_latex(table: Compatibility, by: By | None = None) -> str:
    """A ``tabular`` for each setting and mitigation, for the package booktabs."""
    parts = ["% \\usepackage{booktabs}"]
    for block in blocks(table, by):
        parts += [
            "\\begin{table}",
            "\\centering",
            f"\\caption{{{_latex(block.title)}. Shares with Wilson score intervals of 95\\,\\%.}}",
            f"\\begin{{tabular}}{{{'l' * len(block.heads)}}}",
            "\\toprule",
            _latex_line(block.heads),
            "\\midrule",
            *map(_latex_line, block.rows),
            "\\bottomrule",
            "\\end{tabular}",
            "\\end{table}",
            "",
        ]
    return "\n".join(parts)


def _latex_line(cells: Sequence[str]) -> str:
    return f"{' & '.join(map(_latex, cells))} \\\\"


def _latex(text: str) -> str:
    text = re.sub(r"(\d)\.\.(\d)", "\\1--\\2", text)  # an interval
    return "".join(_LATEX.get(each, each) for each in text).replace("\n", " ")
