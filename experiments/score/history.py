"""Stores a scoreboard's rows in a history, and draws a page with each detector's trend, run after run."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, Final

from siplab.experiments.score.tally import Score
from siplab.experiments.trial.rates import Rate
from siplab.lab.counting import number_of
from siplab.lab.version import __version__

Row = dict[str, Any]
# The columns of every row, in this order. A file with other columns is not a history.
COLUMNS: Final = (
    *("run", "time", "label", "siplab", "world", "seed", "repeat", "varied", "detector", "score"),
    *("caught", "in_reach", "noticed", "algs", "false_alarms", "honest", "undecided", "errors", "invalid"),
)
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_WIDTH, _HEIGHT, _MARGIN = 760, 260, 40


def rows(
    scores: Sequence[Score],
    *,
    run: int,
    time: str,
    label: str,
    world: str,
    seed: int,
    repeat: int,
    varied: bool,
) -> list[Row]:
    """A row per detector. ``run``: the number of the run, from 1; ``time``: ISO 8601, UTC."""
    return [
        dict(
            zip(
                COLUMNS,
                (
                    *(run, time, label, __version__, world, seed, repeat, varied, each.detector, each.value),
                    *(each.detection.count, each.detection.of, each.coverage.count, each.coverage.of),
                    *(each.false_alarms.count, each.false_alarms.of),
                    *(each.count("undecided"), each.count("error"), each.count("invalid")),
                ),
                strict=True,
            )
        )
        for each in scores
    ]


def page(history: Sequence[Row]) -> str:
    """One HTML file without scripts: the scores of each detector over the runs, and all figures."""
    detectors = list(dict.fromkeys(each["detector"] for each in history))
    runs = sorted({each["run"] for each in history})
    lines = "".join(
        _line(number, name, [each for each in history if each["detector"] == name], runs)
        for number, name in enumerate(detectors)
    )
    table = "".join(map(_table_row, reversed(history)))
    heads = (
        "run",
        "time",
        "label",
        "version",
        "detector",
        "score",
        "of all",
        "caught in reach",
        "false alarms",
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Detectors over time</title><style>"
        "body{font:15px system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .5rem;"
        "border-bottom:1px solid #ccc}svg{width:100%;height:auto}</style><h1>Detectors over time</h1>"
        f"<p>{number_of(len(runs), 'run')}. The score is the share of all ALGs that a detector notices, "
        "less its false alarms: 1 is perfect, 0 is a guess.</p>"
        f'<svg viewBox="0 0 {_WIDTH + 160} {_HEIGHT}" role="img" aria-label="scores over the runs">'
        f"{_grid()}{lines}</svg>"
        f"<table><thead><tr>{''.join(f'<th>{each}</th>' for each in heads)}</tr></thead>"
        f"<tbody>{table}</tbody></table></html>\n"
    )


def _place(number: int, of: int, score: float) -> tuple[float, float]:
    x = _MARGIN + (_WIDTH - 2 * _MARGIN) * (number / (of - 1) if of > 1 else 0.5)
    low, high = -0.25, 1.0
    shown = min(high, max(low, score))
    return round(x, 1), round(_MARGIN / 2 + (_HEIGHT - _MARGIN) * (high - shown) / (high - low), 1)


def _grid() -> str:
    parts = []
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        _, y = _place(0, 1, value)
        parts.append(
            f'<line x1="{_MARGIN}" x2="{_WIDTH - _MARGIN}" y1="{y}" y2="{y}" stroke="#ddd"/>'
            f'<text x="4" y="{y + 4}" font-size="12">{value:g}</text>'
        )
    return "".join(parts)


def _line(number: int, name: str, found: Sequence[Row], runs: Sequence[int]) -> str:
    colour = _COLOURS[number % len(_COLOURS)]
    places = [(_place(runs.index(each["run"]), len(runs), each["score"]), each) for each in found]
    points = " ".join(f"{x},{y}" for (x, y), _ in places)
    dots = "".join(
        f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}"><title>{html.escape(name)}, run {each["run"]}: '
        f"{each['score']:.2f}</title></circle>"
        for (x, y), each in places
    )
    dash = "" if number < len(_COLOURS) else ' stroke-dasharray="5 3"'
    legend = _HEIGHT * (number + 1) / 20 + 10
    return (
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>{dots}'
        f'<text x="{_WIDTH - _MARGIN + 12}" y="{legend:.0f}" font-size="12" fill="{colour}">'
        f"{html.escape(name)}</text>"
    )


def _table_row(each: Row) -> str:
    cells = (
        *(each["run"], each["time"], each["label"], each["siplab"], each["detector"], f"{each['score']:.2f}"),
        *(
            _told(each, "noticed", "algs"),
            _told(each, "caught", "in_reach"),
            _told(each, "false_alarms", "honest"),
        ),
    )
    return f"<tr>{''.join(f'<td>{html.escape(str(cell))}</td>' for cell in cells)}</tr>"


def _told(each: Row, count: str, of: str) -> str:
    rate = Rate(each[count], each[of])
    if rate.interval is None:
        return "-"
    low, high = rate.interval
    return f"{rate.count}/{rate.of} ({low:.0%} to {high:.0%})"
