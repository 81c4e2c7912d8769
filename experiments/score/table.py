"""Prints a scoreboard on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console, RenderableType
from rich.text import Text

from siplab.experiments.output.console import grid
from siplab.experiments.score.outputs import wrong
from siplab.experiments.score.plan import GROUPS
from siplab.experiments.score.tally import Score
from siplab.experiments.trial.rates import Rate, percent

_NAMED: Final = 10  # subjects that are listed; the files have all of them
_COLUMNS: Final = (
    "score",
    "caught\nin reach",
    "false\nalarms",
    "un-\ndecided",
    "errors",
    "out of\nreach",
    "seen by\ntranslation",
    "right on\nwhat changed",
)


def print_scores(scores: Sequence[Score], console: Console, *, repeated: bool) -> None:
    """Print the summary, the detection per class, and what each detector got wrong."""
    console.print(_summary(scores, repeated, console.width))
    console.print(Text("caught, of those in reach, by class of fault", style="bold"))
    console.print(_classes(scores, console.width))
    for score in scores:
        for words, names in wrong(score):
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            console.print(Text(f"{score.detector} {words} {', '.join(names[:_NAMED])}{more}"))
        broken = next((row for row in score.rows if row.outcome == "error"), None)
        if broken is not None:
            console.print(Text(f"  with {broken.subject.id}: {broken.detail}", style="red"))
        for row in score.rows:
            if row.outcome == "invalid":
                console.print(
                    Text(f"invalid: {score.detector} with {row.subject.id}: {row.detail}", style="red")
                )


def _summary(scores: Sequence[Score], repeated: bool, width: int) -> RenderableType:
    rows: list[list[str | Text]] = []
    for each in sorted(scores, key=lambda score: -score.value):
        alarms, mistakes = each.false_alarms, each.count("error")
        rows.append(
            [
                each.detector,
                Text(f"{each.value:.2f}", style="bold"),
                _short(each.detection, repeated),
                Text(_short(alarms, repeated), style="red" if alarms.count else ""),
                str(each.count("undecided")),
                Text(str(mistakes), style="red" if mistakes else ""),
                str(each.count("out-of-reach")),
                str(each.count("translation")),
                "-" if each.localisation is None else _short(each.localisation, repeated),
            ]
        )
    return grid(("detector", *_COLUMNS), rows, width, right=True)


def _short(rate: Rate, repeated: bool) -> str:
    """``61/70 87%``, with the interval below it if trials are repeated."""
    if rate.value is None or rate.interval is None:
        return "-"
    text = f"{rate.count}/{rate.of} {percent(rate.value)}%"
    if repeated:
        low, high = rate.interval
        text += f"\n{percent(low)}..{percent(high)}%"
    return text


def _classes(scores: Sequence[Score], width: int) -> RenderableType:
    there = {name for score in scores for name in score.groups if name != "clean"}
    names = [name for name in GROUPS if name in there]
    rows = []
    for score in scores:
        rates = [score.groups[name].detection for name in names]
        cells = (f"{rate.count}/{rate.of}" if rate.of else "-" for rate in rates)
        rows.append([score.detector, *cells])
    return grid(("detector", *names), rows, width, right=True)
