"""One trial: a topology, a model, a scenario or a detector, mitigations and a seed, in a world."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import topologies
from alg_models import catalogue
from experiments import registry
from experiments.stage import Check, Finding, Setup, Stage
from lab.gateway.alg import Model
from lab.worlds.base import World, WorldError
from lab.worlds.network import Network
from lab.worlds.simulated import SimulatedWorld
from lab.worlds.trace import Trace

WorldMaker = Callable[[Network, Mapping[str, Model], object], World]


@dataclass(frozen=True)
class TrialSpec:
    """What to run. Exactly one of ``scenario`` and ``detector`` is set; names are specs."""

    topology: str
    model: str
    scenario: str = ""
    detector: str = ""
    mitigations: tuple[str, ...] = ()
    seed: int = 1
    model_paths: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """A name for people and for files, the same for the same trial."""
        parts = [self.model, self.scenario or self.detector, *self.mitigations, f"seed{self.seed}"]
        return "__".join(part.replace("/", "-").replace(" ", "") for part in parts)


@dataclass
class TrialResult:
    """What came of it.

    ``errors``: why the trial is void (a model that raised, packets that the kernel lost).
    """

    spec: TrialSpec
    world: str
    checks: list[Check] = field(default_factory=list)
    finding: Finding | None = None
    errors: list[str] = field(default_factory=list)
    duration: float = 0.0  # seconds of the trial's clock
    packets_changed: int = 0

    @property
    def outcome(self) -> str:
        """``error``, else the detector's verdict, else ``pass`` or ``fail``."""
        if self.errors:
            return "error"
        if self.finding is not None:
            return self.finding.verdict
        return "pass" if all(check.passed for check in self.checks) else "fail"

    @property
    def first_failure(self) -> Check | None:
        return next((check for check in self.checks if not check.passed), None)

    def as_json(self) -> dict[str, Any]:
        """Plain data, the same for the same trial."""
        spec = {name: value for name, value in asdict(self.spec).items() if value or name == "seed"}
        spec.pop("model_paths", None)
        row: dict[str, Any] = {**spec, "world": self.world, "outcome": self.outcome}
        if self.finding is not None:
            row["finding"] = asdict(self.finding)
        if self.checks:
            row["checks"] = [asdict(check) for check in self.checks]
        return row | {
            "errors": self.errors,
            "duration": round(self.duration, 6),
            "packets_changed": self.packets_changed,
        }


@cache
def models(paths: tuple[str, ...] = ()) -> catalogue.Catalogue:
    """The catalogue with the user's own paths added."""
    return catalogue.load([Path(each) for each in paths])


@cache
def network(topology: str) -> Network:
    """The network of a topology, worked out once."""
    return Network(topologies.load(topology))


def check_spec(spec: TrialSpec) -> None:
    """Raises ``UsageError`` when something that the trial names does not exist."""
    models(spec.model_paths).get(spec.model)
    topologies.load(spec.topology)
    if spec.scenario:
        registry.scenarios().get(spec.scenario)
    if spec.detector:
        registry.detectors().get(spec.detector)
    for each in spec.mitigations:
        registry.mitigations().get(each)


def simulated(net: Network, chosen: Mapping[str, Model], seed: object) -> World:
    """Make a simulated world."""
    return SimulatedWorld(net, chosen, seed)


def setup_of(spec: TrialSpec, net: Network) -> Setup:
    """The trial's settings with its mitigations applied, in the order in which they are named."""
    setup = Setup(models=dict.fromkeys(net.topology.gateways, spec.model))
    for each in spec.mitigations:
        setup = registry.mitigations().get(each).settings.apply(setup)
    return setup


def run(spec: TrialSpec, make_world: WorldMaker = simulated) -> tuple[TrialResult, Trace]:
    """Run one trial. Raises ``UsageError`` for a bad spec; what goes wrong later is in the result."""
    net = network(spec.topology)
    setup = setup_of(spec, net)
    known = models(spec.model_paths)
    seed = f"{spec.seed}/{spec.name}"
    kind = "scenario" if spec.scenario else "detector"
    player = (
        registry.scenarios().get(spec.scenario) if spec.scenario else registry.detectors().get(spec.detector)
    )
    world = make_world(net, {name: known.get(model) for name, model in setup.models.items()}, seed)
    stage = Stage(world, setup, seed)
    result = TrialResult(spec, world.kind)
    try:
        outcome = player.settings.run(stage)
    except WorldError as error:
        result.errors.append(str(error))
        outcome = None
    finally:
        problems = world.close()
    result.checks = stage.checks
    if kind == "detector":
        result.finding = outcome or Finding("error")
    result.errors += problems + [
        f"the model raised {each}" for each in dict.fromkeys(world.trace.model_errors)
    ]
    result.duration = world.now
    result.packets_changed = sum(
        emission.changed for passage in world.trace.passages for emission in passage.emissions
    )
    return result, world.trace
