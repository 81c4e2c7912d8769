"""Routers by scenarios: the share of trials that work, and how well each router is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from siplab.experiments.figures.drawing import NOTHING, SCALE, chart, figure
from siplab.experiments.tables.rows import Row
from siplab.experiments.trial.rates import Rate

_COUNTED = ("pass", "fail")


def points(trials: Sequence[Row], mitigations: str = "") -> list[dict[str, Any]]:
    """One row per router and scenario: ``working`` of ``trials``, the share, its interval, the evidence.

    Only trials with these mitigations (joined by ``+``) count. Share and interval are null if the router's
    behaviour is unknown.
    """
    cells: dict[tuple[str, str], list[Row]] = {}
    for each in trials:
        if each["scenario"] and each["mitigations"] == mitigations:
            cells.setdefault((each["model"], each["scenario"]), []).append(each)
    found = []
    for (model, scenario), rows in cells.items():
        counted = [row for row in rows if row["outcome"] in _COUNTED]
        rate = Rate(sum(row["outcome"] == "pass" for row in counted), len(counted))
        low, high = rate.interval or (None, None)
        found.append(
            {
                "router": f"{model} [{rows[0]['evidence']}]",
                "scenario": scenario,
                "evidence": rows[0]["evidence"],
                "working": rate.count,
                "trials": rate.of,
                "share": rate.value,
                "low": low,
                "high": high,
                "told": _told(rate, rows),
            }
        )
    return found


def _told(rate: Rate, rows: Sequence[Row]) -> str:
    if not rate.of:
        return "?" if any(row["outcome"] == "unknown" for row in rows) else "-"
    return f"{rate.count}/{rate.of}" if rate.of > 1 else ("yes" if rate.count else "no")


def altair(rows: list[dict[str, Any]]) -> Any:
    """The interactive figure: a tooltip describes each cell."""
    alt, base = chart(rows)
    across = alt.X("scenario:N", sort=None, title=None, axis=alt.Axis(orient="top", labelAngle=-40))
    down = alt.Y("router:N", sort=None, title=None, axis=alt.Axis(labelLimit=300))
    colour = alt.condition(
        "isValid(datum.share)",
        alt.Color("share:Q", title="works", scale=alt.Scale(domain=[0, 1], range=list(SCALE))),
        alt.value(NOTHING),
    )
    told = ["router:N", "scenario:N", "evidence:N", "working:Q", "trials:Q", "low:Q", "high:Q"]
    boxes = base.mark_rect(stroke="white").encode(x=across, y=down, color=colour, tooltip=told)
    light = "isValid(datum.share) && (datum.share < 0.2 || datum.share > 0.8)"
    words = base.mark_text(fontSize=10).encode(
        x=across, y=down, text="told:N", color=alt.condition(light, alt.value("white"), alt.value("black"))
    )
    return (boxes + words).properties(width=alt.Step(62), height=alt.Step(22))


def matplotlib(rows: list[dict[str, Any]]) -> Any:
    """The figure for print."""
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    routers = list(dict.fromkeys(each["router"] for each in rows))
    scenarios = list(dict.fromkeys(each["scenario"] for each in rows))
    names = 0.075 * max(map(len, routers))  # inches, like the other lengths
    made, axes = figure(1.4 + names + 0.62 * len(scenarios), 1.6 + 0.28 * len(routers))
    colours = LinearSegmentedColormap.from_list("works", list(SCALE))
    for each in rows:
        x, y, share = scenarios.index(each["scenario"]), routers.index(each["router"]), each["share"]
        face = NOTHING if share is None else colours(share)
        axes.add_patch(_box(x, y, face, hatched=share is None))
        dark = share is not None and (share < 0.2 or share > 0.8)
        axes.text(
            x, y, each["told"], ha="center", va="center", color="white" if dark else "black", fontsize=8
        )
    axes.set_xlim(-0.5, len(scenarios) - 0.5)
    axes.set_ylim(len(routers) - 0.5, -0.5)
    axes.set_xticks(range(len(scenarios)), scenarios, rotation=40, ha="left", rotation_mode="anchor")
    axes.set_yticks(range(len(routers)), routers)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    from matplotlib.cm import ScalarMappable

    made.colorbar(
        ScalarMappable(Normalize(0, 1), colours), ax=axes, label="share of trials that work", aspect=12
    )
    return made


def _box(x: int, y: int, face: Any, *, hatched: bool) -> Any:
    from matplotlib.patches import Rectangle

    hatch = "///" if hatched else None
    return Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=face, edgecolor="white", linewidth=1.5, hatch=hatch)
