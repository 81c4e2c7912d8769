"""A scoreboard as data and as text: JSON, CSV, Markdown, a badge."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any, Final

from siplab.experiments.score.tally import Row, Score, counted
from siplab.experiments.trial.pairs import DEFAULT
from siplab.experiments.trial.rates import Rate, percent

# The version of the JSON. It rises if a field changes its meaning or is removed, not if one is added.
VERSION: Final = 1


def as_json(scores: Sequence[Score], *, world: str, seed: int, repeat: int) -> dict[str, Any]:
    """The whole scoreboard as plain data."""
    return {
        "format": "siplab-score",
        "version": VERSION,
        "world": world,
        "seed": seed,
        "repeat": repeat,
        "phone": DEFAULT.phone,
        "server": DEFAULT.server,
        "detectors": [
            {
                "id": each.detector,
                **_summary(each),
                "classes": {name: _summary(group) for name, group in each.groups.items()},
                "rows": [_row(row) for row in each.rows],
            }
            for each in scores
        ],
    }


def _summary(score: Score) -> dict[str, Any]:
    return {
        "score": round(score.value, 4),
        "detection": _rate(score.detection),
        "coverage": _rate(score.coverage),
        "false_alarms": _rate(score.false_alarms),
        "undecided": score.count("undecided"),
        "errors": score.count("error"),
        "out_of_reach": score.count("out-of-reach"),
        "seen_by_translation": score.count("translation"),
        "unscored": score.count("unscored"),
        "invalid": score.count("invalid"),
        "localisation": None if score.localisation is None else _rate(score.localisation),
    }


def _rate(rate: Rate) -> dict[str, Any]:
    low, high = rate.interval or (None, None)
    return {
        "count": rate.count,
        "of": rate.of,
        "rate": None if rate.value is None else round(rate.value, 4),
        "low": None if low is None else round(low, 4),
        "high": None if high is None else round(high, 4),
    }


def _row(row: Row) -> dict[str, Any]:
    subject = row.subject
    return {
        "id": subject.id,
        "class": subject.group,
        "topology": subject.topology,
        "model": subject.model,
        "expected": subject.expected,
        "outcome": row.outcome,
        "outcomes": counted(row.outcomes),
        "verdicts": counted(row.verdicts),
        "named": list(row.named),
        "changed": list(row.changed),
        "detail": row.detail,
    }


_COLUMNS: Final = ("id", "class", "topology", "model", "expected", "outcome", "named", "changed", "detail")


def as_csv(scores: Sequence[Score]) -> str:
    """One line per detector and subject."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(("detector", *_COLUMNS, "trials", "alg", "clean", "undecided", "error"))
    for score in scores:
        for row in score.rows:
            data = _row(row)
            cells = ["; ".join(data[c]) if isinstance(data[c], list) else data[c] for c in _COLUMNS]
            verdicts = [row.verdicts.count(each) for each in ("alg", "clean", "undecided", "error")]
            lines.writerow((score.detector, *cells, len(row.verdicts), *verdicts))
    return text.getvalue()


def as_markdown(scores: Sequence[Score], *, repeated: bool) -> str:
    """A table for a README, and what each detector got wrong."""
    lines = [
        "| detector | score | caught, of those in reach | of all | false alarms | undecided | errors "
        "| out of reach | seen by its translation | right about what was changed |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for each in scores:
        cells = (
            each.detector,
            f"{each.value:.2f}",
            fraction(each.detection, repeated),
            fraction(each.coverage, repeated),
            fraction(each.false_alarms, repeated),
            str(each.count("undecided")),
            str(each.count("error")),
            str(each.count("out-of-reach")),
            str(each.count("translation")),
            "says nothing" if each.localisation is None else fraction(each.localisation, repeated),
        )
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    for each in scores:
        for words, names in wrong(each):
            lines += ["", f"**{_cell(each.detector)}** {words}: {', '.join(f'`{name}`' for name in names)}"]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def wrong(score: Score) -> list[tuple[str, list[str]]]:
    """What a detector got wrong: in words, with the subjects."""
    words = (
        ("accuses", "false-alarm"),
        ("misses", "missed"),
        ("is undecided about", "undecided"),
        ("fails at", "error"),
    )
    found = [(text, [row.subject.id for row in score.rows if row.outcome == word]) for text, word in words]
    return [(text, names) for text, names in found if names]


def fraction(rate: Rate, repeated: bool) -> str:
    """``61/70 (87 %)``, with the interval if trials are repeated; a dash if nothing was counted."""
    if rate.value is None or rate.interval is None:
        return "-"
    text = f"{rate.count}/{rate.of} ({percent(rate.value)} %"
    if repeated:
        low, high = rate.interval
        text += f", {percent(low)} to {percent(high)}"
    return text + ")"


def as_badge(score: Score) -> str:
    """One line of JSON in the form that shields.io's endpoint badge reads."""
    alarms = score.false_alarms.count
    detection = score.detection.value or 0.0
    message = f"{percent(detection)} % of {score.detection.of} in reach, {alarms} false alarms"
    clear = not alarms and not score.count("error")
    colour = (
        "brightgreen" if clear and detection == 1 else "green" if clear and detection >= 0.8 else "orange"
    )
    if score.value < 0.3:
        colour = "red"
    return json.dumps({"schemaVersion": 1, "label": "SIP ALG detection", "message": message, "color": colour})
