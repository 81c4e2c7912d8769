"""Trials that are shared come out as if each had been run."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from siplab import topologies
from siplab.experiments.explain.folder import ExplainedFolder
from siplab.experiments.output import alike
from siplab.experiments.trial import registry, runner
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.sharing import Sharing
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError


def sample(count: int, settings: int) -> list[TrialSpec]:
    """Trials of all models in so many settings: what is played, network, remedies, endpoints, seed."""
    rng = random.Random(f"both ways {count}")
    models = [model.id for model in trial.models().runnable()]
    # It takes as long as a hundred others, shared or not.
    networks = [each for each in topologies.available() if each != "lossy"]
    chosen: list[TrialSpec] = []
    while len(chosen) < settings:
        spec = TrialSpec(
            rng.choice(["home", rng.choice(networks)]),
            "none",
            mitigations=tuple(
                rng.sample([each.id for each in registry.mitigations()], rng.choice((0, 0, 1)))
            ),
            seed=rng.randrange(1000),
            phone=rng.choice(["", "plain", "libre"]),
            server=rng.choice(["", "rport-aware"]),
        )
        if rng.random() < 0.7:
            played: dict[str, Any] = {"scenario": rng.choice([each.id for each in registry.scenarios()])}
        else:
            played = {"detector": rng.choice([each.id for each in registry.detectors()]), "reach": True}
        spec = TrialSpec(**{**vars(spec), **played})
        try:
            trial.check_spec(spec)
        except UsageError:
            continue
        if trial.reproducible(spec):  # what is not can't be shared
            chosen.append(spec)
    found: list[TrialSpec] = []
    for number in range(count):
        setting = chosen[number * settings // count]
        rest = {**vars(setting), "model": rng.choice(models)}
        try:
            trial.check_spec(TrialSpec(**rest))
        except UsageError:  # a network without a router for it
            rest["model"] = "none"
        found.append(TrialSpec(**rest))
    return found


@pytest.mark.parametrize(("count", "settings"), [(120, 12), pytest.param(2000, 60, marks=pytest.mark.deep)])
def test_shared_or_not_it_is_the_same(count: int, settings: int) -> None:
    sharing = Sharing(traces=True)
    for spec in sample(count, settings):
        result, trace = sharing.run(spec)
        alone, its_trace = trial.run(spec)
        assert result.as_json() == alone.as_json(), spec.name
        assert trace is not None
        assert trace.records == its_trace.records, spec.name
    assert sharing.ran + sharing.shared == count
    assert sharing.shared > count // 4


def test_models_that_draw_at_random_are_shared_only_where_they_draw_the_same() -> None:
    """Each has a generator of its own, so what is drawn decides."""
    sharing = Sharing()
    for seed in range(1, 13):
        for model in ("none", "correct", "sdp-c-only(probability=0.5)", "ack-2xx-lost(probability=0.5)"):
            spec = TrialSpec("home", model, "outgoing-call", seed=seed)
            assert sharing.run(spec)[0].as_json() == trial.run(spec)[0].as_json()


def test_what_another_trial_left_is_not_in_a_shared_result() -> None:
    sharing = Sharing()
    first = sharing.run(TrialSpec("home", "none", "register"))[0]
    first.errors.append("changed later")
    first.files["trace"] = "first.jsonl"
    again = sharing.run(TrialSpec("home", "none", "register"))[0]
    assert sharing.shared == 1
    assert (again.errors, again.files) == ([], {})


def test_a_plug_in_is_run_each_time(tmp_path: Path) -> None:
    """Its code may remember what it did."""
    path = tmp_path / "mine.py"
    path.write_text(
        "from siplab.model import Card, Model, Recipe\n"
        "class Step:\n"
        "    calls = 0\n"
        "    def apply(self, message, context):\n"
        "        Step.calls += 1\n"
        "MODEL = Model('mine', Card('Remembers.'), Recipe(first=(Step(),)))\n",
        encoding="utf-8",
    )
    assert not Sharing.applies(TrialSpec("home", "none", "register", model_paths=(str(path),)))
    assert not Sharing.applies(TrialSpec("home", "none", "register", gateway="kernel"))
    assert not Sharing.applies(TrialSpec("home", "none", "register", phone="program:baresip"))
    assert Sharing.applies(TrialSpec("home", "none", "register"))


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_gives_the_same_with_and_without(jobs: int) -> None:
    specs = [
        TrialSpec("home", model, scenario)
        for model in ("none", "semicolon-loss", "hold-releases-media", "media-idle-blocked")
        for scenario in ("register", "outgoing-call")
    ]
    shared = runner.run_all(specs, world="simulated", jobs=jobs)
    alone = runner.run_all(specs, world="simulated", share=False)
    assert [each.as_json() for each in shared] == [each.as_json() for each in alone]
    assert not alike.groups(alone)
    groups = {each.setting: each.models for each in alike.groups(shared)}
    assert groups["register"] == ("hold-releases-media", "media-idle-blocked")


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_is_kept_is_the_same_with_and_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    """Of failing trials and of detectors' a trace is kept, of each its own."""
    models = ("none", "semicolon-loss", "hold-releases-media")
    specs = [TrialSpec("home", each, "register") for each in models]
    specs += [TrialSpec("home", each, detector="mirror") for each in models]
    found = []
    for share in (True, False):
        folder = tmp_path / str(share)
        folder.mkdir()
        store = ExplainedFolder(folder, traces="failed")
        results = runner.run_all(specs, world="simulated", jobs=jobs, store=store, share=share)
        kept = {each.name: each.read_bytes() for each in folder.iterdir()}
        found.append((kept, [each.as_json() for each in results]))
        assert not alike.groups(results)  # as it is once they were stored
        assert len(kept) == 4
        monkeypatch.setattr(Sharing, "run", None)
    assert found[0] == found[1]


def test_who_is_unknown_stays_unknown_though_his_trial_is_anothers() -> None:
    """A router of which nobody knows runs as one without an ALG: that one's result is not his."""
    specs = [TrialSpec(model=model, scenario="register") for model in ("none", "avm-fritzbox", "none")]
    for order in (specs[:2], specs[1:]):
        results = {each.spec.model: each.outcome for each in runner.run_all(order, world="simulated", jobs=1)}
        assert results == {"none": "pass", "avm-fritzbox": "unknown"}
