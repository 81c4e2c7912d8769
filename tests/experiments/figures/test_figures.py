"""The four figures: their numbers, and that both libraries draw them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import siplab
from siplab.experiments.figures import cure_rates, heat_map, media_loss
from siplab.experiments.figures.results import Scoreboard
from siplab.experiments.score.plan import Subject
from siplab.experiments.score.tally import Row, Score
from siplab.experiments.trial.rates import Rate


def trial(number: int, model: str, outcome: str, mitigations: str = "", **settings: Any) -> dict[str, Any]:
    return {
        "trial": number,
        "topology": "home",
        "model": model,
        "scenario": "register",
        "phone": "desk",
        "server": "proxy-detect",
        "far_phone": "desk",
        "seed": 1,
        "gateway": "queue",
        "evidence": "inference",
        "mitigations": mitigations,
        "outcome": outcome,
        **settings,
    }


TRIALS = [
    trial(1, "a", "fail"),
    trial(2, "a", "pass", seed=2),
    trial(3, "a", "pass", "tls"),
    trial(4, "a", "pass", "tls", seed=2),
    trial(5, "b", "fail"),
    trial(6, "b", "fail", "tls"),
    trial(7, "b", "error", "stun"),
    trial(8, "nobody", "unknown"),
    trial(9, "nobody", "unknown", "tls"),
]


def test_a_heat_map_never_colours_what_nobody_knows() -> None:
    rows = {row["router"]: row for row in heat_map.points(TRIALS)}
    assert (rows["a [inference]"]["told"], rows["a [inference]"]["share"]) == ("1/2", 0.5)
    assert (rows["b [inference]"]["told"], rows["b [inference]"]["share"]) == ("no", 0.0)
    assert (rows["nobody [inference]"]["told"], rows["nobody [inference]"]["share"]) == ("?", None)
    assert {row["router"]: row["told"] for row in heat_map.points(TRIALS, "stun")} == {"b [inference]": "-"}


def test_a_remedy_counts_only_where_something_failed_without_it() -> None:
    (row,) = cure_rates.points(TRIALS)
    assert (row["remedy"], row["cured"], row["failed"]) == ("tls", 1, 2)
    assert (row["low"], row["high"]) == Rate(1, 2).interval


def test_media_loss_is_the_share_of_streams_that_are_silent() -> None:
    streams = [{"trial": 1, "kind": "audio"}, {"trial": 1, "kind": "audio"}, {"trial": 1, "kind": "video"}]
    silences = [
        {"trial": 1, "kind": "audio", "begin_s": 1.0, "end_s": 3.0},
        {"trial": 1, "kind": "audio", "begin_s": 2.0, "end_s": 4.0},
        {"trial": 1, "kind": "video", "begin_s": 0.0, "end_s": 4.0},
    ]
    rows = media_loss.points(TRIALS, streams, silences, step=1.0)
    assert [(row["time_s"], row["share"]) for row in rows] == [
        (0.0, 0.0),
        (1.0, 0.5),
        (2.0, 1.0),
        (3.0, 0.5),
        (4.0, 0.0),
    ]
    assert media_loss.points(TRIALS, [], []) == []


def scoreboard() -> Scoreboard:
    def row(expected: Any, outcome: str) -> Row:
        return Row(Subject("x", "clean", expected, "home", "none", ""), (outcome,), (), (), (), 0, 0, "")

    return Scoreboard(
        [
            Score("one", (row("alg", "caught"), row("alg", "missed"), row("clean", "quiet"))),
            Score("no", ()),
        ]
    )


@pytest.fixture(scope="module")
def matrix() -> siplab.Matrix:
    return siplab.matrix(["none", "semicolon-loss"], ["hold"], mitigations=[[], ["non-standard-port"]])


DRAWN: dict[str, Callable[[siplab.Matrix], Callable[..., Any]]] = {
    "heat map": lambda found: found.plot.heat_map,
    "cure rates": lambda found: found.plot.cure_rates,
    "media loss": lambda found: found.plot.media_loss,
    "detectors": lambda found: scoreboard().plot.detectors,
}


@pytest.mark.parametrize("name", DRAWN)
def test_both_libraries_draw_it_and_print_embeds_its_fonts(
    name: str, matrix: siplab.Matrix, tmp_path: Path
) -> None:
    draw = DRAWN[name](matrix)
    chart = draw().to_dict()
    assert "layer" in chart or "mark" in chart
    first, second = tmp_path / "1.pdf", tmp_path / "2.pdf"
    for path in (first, second):
        draw("matplotlib").savefig(path)
    assert b"/FontFile2" in first.read_bytes()
    assert b"/Type3" not in first.read_bytes()
    assert first.read_bytes() == second.read_bytes()


def test_what_can_not_be_drawn_is_told_in_one_line(
    matrix: siplab.Matrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(siplab.UsageError, match="altair or matplotlib, not by 'gnuplot'"):
        matrix.plot.heat_map("gnuplot")  # type: ignore[arg-type]
    with pytest.raises(siplab.UsageError, match="nothing to draw"):
        siplab.Matrix().plot.cure_rates()
    for name in ("altair", "matplotlib", "pandas"):
        monkeypatch.setitem(sys.modules, name, None)
    for library in ("altair", "matplotlib"):
        with pytest.raises(siplab.UsageError, match=rf"needs {library} .*: pip install 'siplab\[notebook\]'"):
            matrix.plot.heat_map(library)
    with pytest.raises(siplab.UsageError, match=r"needs pandas .*: pip install 'siplab\[notebook\]'"):
        matrix.to_frame()
