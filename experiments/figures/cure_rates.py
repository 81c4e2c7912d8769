"""Mitigations: of the trials that fail without any, how many work with each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from siplab.experiments.figures.drawing import COLOURS, chart, figure
from siplab.experiments.tables.rows import Row
from siplab.experiments.trial.rates import Rate

# Two trials that are equal in these differ only in the mitigation.
_SETTING: Final = ("topology", "model", "scenario", "phone", "server", "far_phone", "seed", "gateway")


def points(trials: Sequence[Row]) -> list[dict[str, Any]]:
    """One row per mitigation, the best first: ``cured`` of ``failed``, the share, its 95 % Wilson interval.

    Invalid trials do not count, nor do trials of routers whose behaviour is unknown.
    """
    failed = {_setting(each) for each in trials if not each["mitigations"] and each["outcome"] == "fail"}
    rates: dict[str, list[bool]] = {}
    for each in trials:
        remedy = each["mitigations"]
        if remedy and each["outcome"] in ("pass", "fail") and _setting(each) in failed:
            rates.setdefault(remedy, []).append(each["outcome"] == "pass")
    found = []
    for remedy, cured in rates.items():
        rate = Rate(sum(cured), len(cured))
        low, high = rate.interval or (0.0, 1.0)
        found.append(
            {
                "remedy": remedy,
                "cured": rate.count,
                "failed": rate.of,
                "share": rate.value,
                "low": low,
                "high": high,
            }
        )
    return sorted(found, key=lambda row: (-row["share"], row["remedy"]))


def _setting(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in _SETTING)


def altair(rows: list[dict[str, Any]]) -> Any:
    """The interactive figure."""
    alt, base = chart(rows)
    down = alt.Y("remedy:N", sort=None, title=None, axis=alt.Axis(labelLimit=300))
    scale = alt.Scale(domain=[0, 1])
    told = ["remedy:N", "cured:Q", "failed:Q", "low:Q", "high:Q"]
    across = alt.X("low:Q", scale=scale, axis=alt.Axis(format="%", title="failing trials that work with it"))
    lines = base.mark_rule(color=COLOURS[0], strokeWidth=2).encode(y=down, x=across, x2="high:Q")
    dots = base.mark_point(filled=True, size=70, color=COLOURS[0], opacity=1).encode(
        y=down, x=alt.X("share:Q", scale=scale), tooltip=told
    )
    return (lines + dots).properties(width=360, height=alt.Step(26))


def matplotlib(rows: list[dict[str, Any]]) -> Any:
    """The figure for print."""
    made, axes = figure(5.6, 0.9 + 0.32 * len(rows))
    for place, each in enumerate(rows):
        axes.plot([each["low"], each["high"]], [place, place], color=COLOURS[0], linewidth=2)
        axes.plot(each["share"], place, "o", color=COLOURS[0], markersize=6, clip_on=False)
        axes.text(1.03, place, f"{each['cured']}/{each['failed']}", va="center", fontsize=8)
    axes.set_yticks(range(len(rows)), [each["remedy"] for each in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    axes.set_xlabel("failing trials that work with it (95 % intervals)")
    return made
