"""What was heard: the report for each stream, and the recordings."""

from __future__ import annotations

import wave
from pathlib import Path

import pytest

from siplab.experiments.explain.folder import ExplainedFolder
from siplab.experiments.trial import registry, worker
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.media import StreamReport
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.media.audio import from_wav, strength
from siplab.lab.wire import g711


def streams(model: str, scenario: str, topology: str = "home") -> dict[tuple[str, int, str], StreamReport]:
    result, _ = trial.run(TrialSpec(topology, model, scenario))
    return {(each.who, each.call, each.kind): each for each in result.media}


def test_an_undisturbed_call() -> None:
    found = streams("correct", "outgoing-call")
    assert set(found) == {("alice", 1, "audio"), ("bob", 1, "audio")}
    for each in found.values():
        assert (each.sent, each.received, each.lost, each.silences) == (2001, 2001, 0, ())
        assert each.first_after == pytest.approx(0, abs=0.05)


def test_who_holds_a_call_hears_nothing_and_the_other_side_its_music() -> None:
    found = streams("correct", "hold(pause=20)")
    assert found["bob", 1, "audio"].silences == ()
    ((begin, end),) = found["alice", 1, "audio"].silences
    assert end - begin == pytest.approx(21, abs=1)


def test_loss_on_a_network_shows_in_the_report() -> None:
    found = streams("none", "outgoing-call", "home(loss=0.05)")
    for each in found.values():
        assert 0.02 < each.lost / each.sent < 0.2


def test_early_media_comes_before_the_answer() -> None:
    first = streams("none", "early-media")["alice", 1, "audio"].first_after
    assert first is not None
    assert first == pytest.approx(-4, abs=0.2)


def test_recordings_hold_what_the_other_side_says(tmp_path: Path) -> None:
    worker.run_one(TrialSpec("home", "correct", "outgoing-call(duration=3)"), ExplainedFolder(tmp_path))
    for who, frequency, other in (("alice", 620, 440), ("bob", 440, 620)):
        (path,) = tmp_path.glob(f"*__{who}-heard-1.wav")
        with wave.open(str(path)) as file:
            assert file.getnframes() == pytest.approx(3 * 8000, abs=400)
        samples = g711.decode(b"".join(from_wav(path).frames))
        assert strength(samples, frequency) > 0.9
        assert strength(samples, other) < 0.01


@pytest.mark.parametrize(
    ("topology", "model", "scenario"),
    [
        (topology, model, item.id)
        for topology, model in (("no-nat", "none"), ("home", "none"), ("home", "correct"))
        for item in registry.scenarios()
        # Without a router nobody keeps strangers out.
        if (topology, item.id) != ("no-nat", "stale-pinhole")
    ],
)
def test_every_scenario_passes_where_nothing_is_wrong(topology: str, model: str, scenario: str) -> None:
    result, _ = trial.run(TrialSpec(topology, model, scenario))
    assert result.errors == []
    assert [check.name for check in result.checks if not check.passed] == []
    assert len(result.checks) > 1
