"""`siplab diagnose`: two sides to a model, harm and cure; one side to a family and no name."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from siplab.experiments.output import side_captures
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from tests.command import Done, siplab

SCENARIOS = ("register", "outgoing-call", "incoming-call")


def captured(model: str, scenario: str, folder: Path, seed: int = 1) -> tuple[str, str]:
    spec = TrialSpec("home", model, scenario=scenario, seed=seed)
    trace = trial.run(spec)[1]
    paths = side_captures.write(trace, trial.network_of(spec), folder / "x.pcapng")
    return str(paths["inside"]), str(paths["outside"])


def diagnosed(*paths: str) -> tuple[Done, dict[str, object]]:
    done = siplab("diagnose", *paths, "--json")
    return done, json.loads(done.stdout)


def test_a_fault_gets_its_model_harm_and_cure(tmp_path: Path) -> None:
    inside, outside = captured("semicolon-loss", "register", tmp_path)
    done = siplab("diagnose", outside, inside, "--report", str(tmp_path / "said.txt"))  # in whatever order
    assert done.returncode == 1
    assert "It behaves as the model 'semicolon-loss'" in done.stdout
    assert "register fails: registered" in done.stdout
    assert "alg-off" in done.stdout
    assert "semicolon-loss" in (tmp_path / "said.txt").read_text()


def test_a_clean_router_is_clean(tmp_path: Path) -> None:
    done, data = diagnosed(*captured("none", "outgoing-call", tmp_path))
    assert done.returncode == 0
    assert (data["verdict"], data["learnt"], data["harms"]) == ("clean", None, [])


@pytest.mark.parametrize("side", [0, 1])
def test_one_side_gives_a_family_and_never_a_model(side: int, tmp_path: Path) -> None:
    names = {each.id for each in trial.models()} - {"none", "correct"}
    for model in ("linux", "none", "sdp-c-only"):
        done, data = diagnosed(captured(model, "register", tmp_path)[side])
        assert done.returncode == 3
        assert data["learnt"] is None
        assert not any(name in done.stdout for name in names)
        if model == "none":
            assert data["family"] == "untouched"
        if side == 1 and model == "linux":
            assert data["family"] == "translates"


@pytest.mark.parametrize("paths", [["nowhere.pcap"], ["a", "b", "c"]])
def test_bad_input_is_one_line(paths: list[str]) -> None:
    done = siplab("diagnose", *paths)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


@pytest.mark.deep
def test_forty_routers_are_diagnosed(tmp_path: Path) -> None:
    rng = random.Random(11)
    models = [each for each in trial.models().runnable() if each.card.kind != "control"]
    wrong, untied = [], []
    for model in rng.sample(models, 40):
        scenario = rng.choice(SCENARIOS)
        done, data = diagnosed(*captured(model.id, scenario, tmp_path))
        learnt = data["learnt"]
        if done.returncode != 1:
            trace = trial.run(TrialSpec("home", model.id, scenario=scenario))[1]
            changed = any(each.changed for passage in trace.passages for each in passage.emissions)
            wrong += [model.id] if changed else []
        elif isinstance(learnt, dict) and model.id not in learnt["tie"] and "correct" not in learnt["tie"]:
            untied.append(model.id)
    assert len(wrong) <= 2
    assert untied == []
