"""Detectors that are in circulation keep working: with the lab's gateway and with the kernel's."""

from __future__ import annotations

from pathlib import Path

import pytest

from siplab.experiments.library import experiment
from siplab.experiments.trial import runner
from siplab.experiments.trial.result import TrialResult

EXPERIMENT = str(Path(__file__).parents[2] / "data" / "detectors" / "foreign.yaml")


def verdicts(results: list[TrialResult]) -> dict[tuple[str, str], str]:
    found = {}
    for each in results:
        assert each.errors == []
        assert each.finding is not None
        found[each.spec.played, each.spec.model] = each.finding.verdict
    return found


@pytest.mark.needs("emulated", "node")
def test_of_the_labs_gateway() -> None:
    found = verdicts(runner.run_all(experiment.load(EXPERIMENT).trials(), world="emulated"))
    for detector in ("base64-mirror", "hidden-source"):
        assert found[detector, "none"] == "clean"
        assert {found[detector, model] for model in ("correct", "blind-ip-replace", "linux")} == {"alg"}


@pytest.mark.needs("emulated", "node", "kernel-alg")
def test_of_the_kernel() -> None:
    chosen = experiment.load(EXPERIMENT).model_copy(update={"models": ["none", "linux"], "gateway": "kernel"})
    found = verdicts(runner.run_all(chosen.trials(), world="emulated"))
    for detector in ("base64-mirror", "hidden-source"):
        assert (found[detector, "none"], found[detector, "linux"]) == ("clean", "alg")
