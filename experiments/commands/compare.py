"""``siplab compare``: what two runs of ``siplab matrix``, or of ``siplab score``, say differently."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import typer
from rich.text import Text

from siplab.experiments.output import book, compatibility, console, files
from siplab.experiments.output.compatibility import Cell, Compatibility
from siplab.experiments.score import comparison
from siplab.lab import documents
from siplab.lab.counting import number_of
from siplab.lab.errors import UsageError

app = typer.Typer(add_completion=False)
_MATRIX: Final = ("router", "scenario", "remedy", "setting", "was", "is")
_SCORES: Final = ("detector", "router", "was", "is")


class _Difference(NamedTuple):
    cells: tuple[str, ...]
    worse: bool


@app.command()
def compare(
    old: Annotated[
        Path, typer.Argument(metavar="OLD.json", help="What `siplab matrix --json` or `score --json` wrote.")
    ],
    new: Annotated[Path, typer.Argument(metavar="NEW.json", help="The same of a later run.")],
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Of a matrix: the page of the new run, differences marked."),
    ] = None,
    markdown: Annotated[
        Path | None,
        typer.Option(metavar="FILE.md", help="The differences, as a comment for a merge request."),
    ] = None,
) -> None:
    """What two runs of `siplab matrix` or `siplab score` say differently.

    Exit status: 0 nothing is worse, 1 something is, 2 bad input.
    """
    before, after = _read(old), _read(new)
    if type(before) is type(after) and not _keys(before) & _keys(after):
        fix = "run both with the same routers and settings"
        raise UsageError(f"{old} and {new} have no cell in common: {fix}")
    for path in (html, markdown):
        if path is not None:
            files.check_writable(path)
    if isinstance(before, Compatibility) and isinstance(after, Compatibility):
        heads, found = list(_MATRIX), _of_matrix(before, after)
        if html is not None:
            files.write_text(html, book.of_matrix(after, {}, None, before=before))
    elif isinstance(before, comparison.StoredScores) and isinstance(after, comparison.StoredScores):
        if html is not None:
            raise UsageError("--html is for two tables of `siplab matrix`")
        heads, found = list(_SCORES), _of_scores(before, after)
    else:
        raise UsageError(f"{old} and {new}: one is of `siplab matrix`, the other of `siplab score`")
    summary = _summary(found)
    if markdown is not None:
        files.write_text(markdown, _markdown(heads, found, summary))
    output = console.output()
    if found:
        rows: list[list[str | Text]] = [
            [*each.cells[:-1], Text(each.cells[-1], style="red" if each.worse else "")] for each in found
        ]
        output.print(console.grid(heads, rows, output.width))
    output.print(summary)
    if any(each.worse for each in found):
        raise typer.Exit(1)


def _read(path: Path) -> Compatibility | comparison.StoredScores:
    what = "table of `siplab matrix --json` or `siplab score --json`"
    data = documents.plain(documents.text(path), str(path), what)
    if data.get("format") == comparison.FORMAT:
        return comparison.read(data, str(path))
    return compatibility.from_json(data, str(path))


def _keys(table: Compatibility | comparison.StoredScores) -> set[object]:
    if isinstance(table, Compatibility):
        return {each.key for each in table.cells}
    return {(each.id, row.id) for each in table.detectors for row in each.rows}


def _of_matrix(before: Compatibility, after: Compatibility) -> list[_Difference]:
    return [
        _Difference(
            (
                each.key.subject,
                each.key.scenario,
                each.key.remedy or "-",
                ", ".join(filter(None, (each.key.topology, each.key.phone, each.key.server))),
                _said(each.before),
                _said(each.after),
            ),
            each.worse,
        )
        for each in compatibility.differences(before, after)
    ]


def _said(cell: Cell | None) -> str:
    return "-" if cell is None else compatibility.word(cell)


def _of_scores(before: comparison.StoredScores, after: comparison.StoredScores) -> list[_Difference]:
    return [
        _Difference((each.detector, each.router, each.before or "-", each.after or "-"), each.worse)
        for each in comparison.changes(before, after)
    ]


def _summary(found: Sequence[_Difference]) -> str:
    if not found:
        return "No cell differs."
    return f"{number_of(len(found), 'cell')} not as before, {sum(each.worse for each in found)} worse"


def _markdown(heads: Sequence[str], found: Sequence[_Difference], summary: str) -> str:
    """What is worse first."""
    lines = [f"**siplab**: {summary}", ""]
    if found:
        lines += [f"| | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for each in sorted(found, key=lambda each: not each.worse):
        cells = (re.sub(r"([\\|<>*_`\[\]@])", r"\\\1", cell).replace("\n", " ") for cell in each.cells)
        lines.append(f"| {'worse' if each.worse else ''} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
