"""Gives the command that shows a trial."""

from __future__ import annotations

import shlex

from siplab.experiments.trial.spec import TrialSpec


def call(spec: TrialSpec) -> str:
    """``siplab call`` with the trial's settings, without those that have their default."""
    options = [("--topology", spec.topology if spec.topology != "home" else ""), ("--model", spec.model)]
    options += [("--scenario", spec.scenario), ("--detector", str(spec.detector))]
    options += [(f"--{kind}", each) for kind, each in spec.kinds.items()]
    options += [("--mitigation", each) for each in spec.mitigations]
    options += [("--gateway", spec.gateway if spec.gateway != "queue" else "")]
    options += [("--model-path", each) for each in spec.model_paths]
    options += [("--scenario-path", each) for each in spec.scenario_paths]
    options += [("--detector-path", each) for each in spec.detector_paths]
    options += [("--longest", f"{spec.longest:g}" if spec.longest else "")]
    options += [("--seed", str(spec.seed) if spec.seed != 1 else "")]
    words = [word for option, value in options if value for word in (option, value)]
    words += ["--vary"] if spec.vary else []
    return shlex.join(["siplab", "call", *words])
