"""``siplab seeds``: how many seeds a claim needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from siplab.experiments.trial.rates import Rate, trials_for_width, trials_to_tell_apart
from tests.command import one_line_error, siplab


@pytest.mark.parametrize("rate", [0.0, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("width", [0.1, 0.3, 1.0])
def test_the_interval_is_as_narrow_as_asked_and_one_trial_less_is_not_enough(
    rate: float, width: float
) -> None:
    count = trials_for_width(rate, width)
    assert Rate(round(rate * count), count).width <= width
    if rate in (0.0, 1.0) and count > 1:
        assert Rate(round(rate * (count - 1)), count - 1).width > width


def test_two_shares_are_told_apart() -> None:
    count = trials_to_tell_apart(0.9, 0.5)
    low, high = Rate(round(0.5 * count), count).interval, Rate(round(0.9 * count), count).interval
    assert low is not None
    assert high is not None
    assert low[1] < high[0]
    assert trials_to_tell_apart(0.6, 0.5) > count


def test_the_command_says_it() -> None:
    done = siplab("seeds", "--rate", "1", "--width", "0.1")
    assert (done.returncode, done.stdout.split()[0]) == (0, str(trials_for_width(1.0, 0.1)))
    assert str(trials_for_width(0.5, 0.05)) in siplab("seeds").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--width", "0.1"), ["--rate"]),
        (("--rate", "0.5"), ["--width", "--against"]),
        (("--rate", "0.5", "--against", "0.5"), ["same"]),
        (("--rate", "0.5", "--width", "0"), ["--width"]),
    ],
)
def test_what_can_not_be_told_is_refused(arguments: tuple[str, ...], words: list[str]) -> None:
    one_line_error(siplab("seeds", *arguments), *words)


def test_a_cell_of_several_seeds_keeps_what_fails(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "id: mine\nmodels: [none, semicolon-loss]\nscenarios: [register]\nrepeat: 2\nvary: true\n"
    )
    done = siplab("run", str(path), "--world", "simulated")
    assert done.returncode == 0, done.stderr
    assert "works 2/2" in done.stdout
    assert "unregistered 2/2" in done.stdout
