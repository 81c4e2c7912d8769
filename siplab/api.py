"""The functions of the package ``siplab``: small ones, over the same machinery that the command uses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from siplab import topologies
from siplab.alg_models import vendors as cards
from siplab.alg_models.vendors.schema import VendorProfile
from siplab.experiments.explain import explained
from siplab.experiments.figures.results import Matrix, Scoreboard
from siplab.experiments.figures.results import TrialRun as TrialRun
from siplab.experiments.library.experiment import Experiment
from siplab.experiments.output import compatibility
from siplab.experiments.score import plan as planning
from siplab.experiments.score import tally
from siplab.experiments.trial import registry, runner
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab import documents
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Model
from siplab.lab.worlds.topology import Topology

World = Literal["auto", "simulated", "emulated"]


def run(trial_: TrialSpec, *, world: World = "simulated", explain: bool = False) -> TrialRun:
    """Run one trial.

    ``explain``: the result says why its checks failed. Raises ``UsageError`` for an unknown name, and
    ``CapabilityError`` if the emulated world is requested and not available. Errors of a model or of the
    network are in ``result.errors``.
    """
    trial.check_spec(trial_)
    kind, _ = runner.choose_world(world)
    result, trace = runner.run_traced(trial_, kind)
    return TrialRun(explained(result, trace) if explain else result, trace)


def matrix(
    models: Sequence[str] | Literal["all"] | None = None,
    scenarios: Sequence[str] | Literal["all"] = (),
    *,
    vendors: Sequence[str] | Literal["all"] = (),
    hypotheses: bool = False,
    detectors: Sequence[str] = (),
    mitigations: Sequence[Sequence[str]] = ((),),
    phones: Sequence[str] = ("",),
    servers: Sequence[str] = ("",),
    far_phones: Sequence[str] = ("",),
    topology: str = "home",
    seed: int = 1,
    repeat: int = 1,
    vary: bool = False,
    world: World = "simulated",
    jobs: int = 1,
    model_paths: Sequence[str | Path] = (),
    scenario_paths: Sequence[str | Path] = (),
) -> Matrix:
    """Run every combination of model, mitigation set and scenario or detector; the results in that order.

    ``vendors``: ids of vendors' cards, which come after ``models``. Without models and vendors, all models
    run. ``hypotheses``: for vendors of which nobody knows the behaviour, also run what they may do.

    ``mitigations`` is a list of sets; the empty set means "nothing done". ``repeat``: how many seeds, from
    ``seed`` on. ``vary``: the seeds also choose the settings in which real phones differ. ``jobs``:
    processes. Raises as ``run`` does.
    """
    fields = {
        "id": "matrix",
        "topology": topology,
        "models": _routers(models, vendors, hypotheses=hypotheses),
        "scenarios": scenarios if scenarios == "all" else list(scenarios),
        "detectors": list(detectors),
        "mitigations": [list(each) for each in mitigations],
        "phones": list(phones),
        "servers": list(servers),
        "far_phones": list(far_phones),
        "seed": seed,
        "repeat": repeat,
        "vary": vary,
    }
    experiment = documents.parse(json.dumps(fields), Experiment, "matrix")  # JSON is YAML
    specs = experiment.trials(_texts(model_paths), scenario_paths=_texts(scenario_paths))
    specs = [replace(each, changes=True) for each in specs]  # for the table of changes
    kind, _ = runner.choose_world(world)
    return Matrix(runner.run_all(specs, world=kind, jobs=jobs))


def score(
    detectors: Sequence[str],
    models: Sequence[str] = ("all",),
    *,
    topology: str = "home",
    seed: int = 1,
    repeat: int = 1,
    vary: bool = False,
    world: World = "simulated",
    jobs: int = 1,
    model_paths: Sequence[str | Path] = (),
    detector_paths: Sequence[str | Path] = (),
) -> Scoreboard:
    """Run each detector against every router of ``models`` and every clean control; one score per detector.

    ``models``: ids, specs, ``all``, ``faults``, ``variants``. ``vary``: as in ``matrix``. Raises as ``run``
    does.
    """
    known = _texts(model_paths)
    plan = planning.plan(
        detectors,
        planning.subjects(models, topology=topology, model_paths=known),
        repeat=repeat,
        seed=seed,
        vary=vary,
        model_paths=known,
        detector_paths=_texts(detector_paths),
    )
    kind, _ = runner.choose_world(world)
    return Scoreboard(tally.scores(plan, runner.run_all(plan.trials, world=kind, jobs=jobs)))


def list_models(paths: Sequence[str | Path] = ()) -> list[Model]:
    """The models of the catalogue, of installed packages and of ``paths``."""
    return list(trial.models(_texts(paths)))


def list_scenarios(paths: Sequence[str | Path] = ()) -> list[Item[Any]]:
    """The scenarios, including those of installed packages and of ``paths``."""
    return list(registry.scenarios(_texts(paths)))


def list_detectors(paths: Sequence[str | Path] = ()) -> list[Item[Any]]:
    """The detectors, including those of installed packages and of ``paths``."""
    return list(registry.detectors(_texts(paths)))


def list_mitigations() -> list[Item[Any]]:
    """The mitigations."""
    return list(registry.mitigations())


def list_phones() -> list[Item[Any]]:
    """The kinds of phones."""
    return list(registry.phones())


def list_servers() -> list[Item[Any]]:
    """The kinds of servers."""
    return list(registry.servers())


def list_topologies() -> list[Topology]:
    """The networks that come with the project."""
    return [topologies.load(each) for each in topologies.available()]


def list_vendors() -> list[VendorProfile]:
    """The cards of vendors' ALGs, with evidence."""
    return [cards.load(each) for each in cards.available()]


def load_model(spec: str, paths: Sequence[str | Path] = ()) -> Model:
    """The model of a spec: ``ID``, ``ID(parameter=value)``, or several with ``+``. Raises ``UsageError``."""
    return trial.models(_texts(paths)).get(spec)


def load_topology(spec: str) -> Topology:
    """The network with an id, with or without parameters, or from a file. Raises ``UsageError``."""
    return topologies.load(spec)


def _texts(paths: Sequence[str | Path]) -> tuple[str, ...]:
    return tuple(str(each) for each in paths)


def _routers(
    models: Sequence[str] | Literal["all"] | None,
    vendors: Sequence[str] | Literal["all"],
    *,
    hypotheses: bool,
) -> list[str] | Literal["all"]:
    """The models of a matrix."""
    if models == "all" or (models is None and not vendors):
        if vendors:
            raise UsageError(
                "models='all' has the models behind the vendors: name some models, or leave it out"
            )
        return "all"
    names = cards.available() if vendors == "all" else list(vendors)
    subjects = compatibility.subjects([], names, hypotheses=hypotheses)
    return [*(models or ()), *(each.id for each in subjects if each.kind == "vendor")]
