"""Media loss over time: the share of streams that hear nothing, by seconds since the answer.

A stream does not count as silent once its call has ended. On hold it is silent, as it should be.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from siplab.experiments.figures.drawing import COLOURS, chart, figure
from siplab.experiments.tables.rows import Row

_MOST_POINTS: Final = 400


def points(
    trials: Sequence[Row],
    streams: Sequence[Row],
    silences: Sequence[Row],
    step: float = 0.0,
    mitigations: str = "",
) -> list[dict[str, Any]]:
    """One row per router and moment: the share of its audio streams that receive nothing then.

    Streams are those of answered calls, at both ends, in trials with these mitigations. ``step``: seconds
    between two moments; 0: about a hundred moments.
    """
    models = {each["trial"]: each["model"] for each in trials if each["mitigations"] == mitigations}
    streams = [each for each in streams if each["kind"] == "audio" and each["trial"] in models]
    silences = [each for each in silences if each["kind"] == "audio" and each["trial"] in models]
    counts: dict[str, int] = {}
    for each in streams:
        counts[models[each["trial"]]] = counts.get(models[each["trial"]], 0) + 1
    silent: dict[str, list[tuple[float, float]]] = {model: [] for model in counts}
    for each in silences:
        silent[models[each["trial"]]].append((each["begin_s"], each["end_s"]))
    end = max((last for spans in silent.values() for _, last in spans), default=0.0)
    step = step or max(0.1, end / 200)
    moments = [round(number * step, 3) for number in range(min(_MOST_POINTS, math.ceil(end / step)) + 1)]
    return [
        {
            "router": model,
            "time_s": now,
            "silent": sum(begin <= now < last for begin, last in silent[model]),
            "streams": count,
            "share": sum(begin <= now < last for begin, last in silent[model]) / count,
        }
        for model, count in counts.items()
        for now in moments
    ]


def altair(rows: list[dict[str, Any]]) -> Any:
    """The interactive figure."""
    alt, base = chart(rows)
    return (
        base.mark_line(interpolate="step-after")
        .encode(
            x=alt.X("time_s:Q", title="seconds since the answer"),
            y=alt.Y(
                "share:Q",
                title="streams that hear nothing",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format="%"),
            ),
            color=alt.Color("router:N", title=None, sort=None, scale=alt.Scale(range=list(COLOURS))),
            tooltip=["router:N", "time_s:Q", "silent:Q", "streams:Q"],
        )
        .properties(width=440, height=240)
    )


def matplotlib(rows: list[dict[str, Any]]) -> Any:
    """The figure for print."""
    made, axes = figure(6.2, 2.8)
    styles = ("-", "--", "-.", ":")
    for place, router in enumerate(dict.fromkeys(each["router"] for each in rows)):
        line = [(each["time_s"], each["share"]) for each in rows if each["router"] == router]
        axes.step(
            *zip(*line, strict=True),
            where="post",
            color=COLOURS[place % len(COLOURS)],
            linestyle=styles[place % len(styles)],
            linewidth=max(1.2, 3.6 - 0.6 * place),  # lines that lie on each other stay visible
            label=router,
            clip_on=False,
        )
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axes.set_ylim(0, 1.02)
    axes.set_xlim(left=0)
    axes.grid(color="#eeeeee")
    axes.set_axisbelow(True)
    axes.set_xlabel("seconds since the answer")
    axes.set_ylabel("streams that hear nothing")
    made.legend(loc="outside right upper", frameon=False, fontsize=8)
    return made
