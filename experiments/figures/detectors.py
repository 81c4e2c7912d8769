"""Detectors: how many ALGs each notices, against how many clean routers it accuses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from siplab.experiments.figures.drawing import COLOURS, chart, figure
from siplab.experiments.score.tally import Score


def points(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """One row per detector: the share of all ALGs that it notices, its false alarms, and both intervals."""
    found = []
    for each in scores:
        noticed, alarms = each.coverage, each.false_alarms
        low, high = noticed.interval or (None, None)
        least, most = alarms.interval or (None, None)
        found.append(
            {
                "detector": each.detector,
                "noticed": noticed.value,
                "noticed_low": low,
                "noticed_high": high,
                "algs": noticed.of,
                "false_alarms": alarms.value,
                "false_alarms_low": least,
                "false_alarms_high": most,
                "honest": alarms.of,
            }
        )
    return [row for row in found if row["noticed"] is not None and row["false_alarms"] is not None]


def altair(rows: list[dict[str, Any]]) -> Any:
    """The interactive figure."""
    alt, base = chart(rows)
    percent = alt.Axis(format="%")
    scale = alt.Scale(domain=[0, 1])
    across = alt.X("false_alarms:Q", scale=scale, axis=percent, title="honest routers accused")
    up = alt.Y("noticed:Q", scale=scale, axis=percent, title="ALGs noticed")
    colour = alt.Color("detector:N", title=None, scale=alt.Scale(range=list(COLOURS)))
    heights = base.mark_rule(opacity=0.5).encode(
        x=across, y="noticed_low:Q", y2="noticed_high:Q", color=colour
    )
    widths = base.mark_rule(opacity=0.5).encode(
        y=up, x="false_alarms_low:Q", x2="false_alarms_high:Q", color=colour
    )
    dots = base.mark_point(filled=True, size=80, opacity=1).encode(
        x=across,
        y=up,
        color=colour,
        tooltip=["detector:N", "noticed:Q", "algs:Q", "false_alarms:Q", "honest:Q"],
    )
    return (heights + widths + dots).properties(width=360, height=360)


def matplotlib(rows: list[dict[str, Any]]) -> Any:
    """The figure for print. The line is where a guessing detector would be."""
    made, axes = figure(5.2, 3.8)
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle=":")
    markers = "osD^vP*X"
    for place, each in enumerate(rows):
        x, y = each["false_alarms"], each["noticed"]
        style = {"color": COLOURS[place % len(COLOURS)], "linewidth": 1.2, "alpha": 0.6}
        axes.plot([x, x], [each["noticed_low"], each["noticed_high"]], **style)
        axes.plot([each["false_alarms_low"], each["false_alarms_high"]], [y, y], **style)
        axes.plot(
            x,
            y,
            markers[place % len(markers)],
            color=style["color"],
            label=f"{each['detector']}: {y * 100:.0f} %, {x * 100:.0f} %",
            clip_on=False,
        )
    for set_ticks in (axes.set_xticks, axes.set_yticks):
        set_ticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(0, 1.02)
    axes.grid(color="#eeeeee")
    axes.set_axisbelow(True)
    axes.set_xlabel("honest routers accused")
    axes.set_ylabel("ALGs noticed")
    made.legend(
        loc="outside right upper", frameon=False, fontsize=8, title="noticed, accused", title_fontsize=8
    )
    return made
