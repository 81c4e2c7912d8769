"""One trial: a topology, a model, a scenario or a detector, mitigations and a seed, in a world."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from siplab import topologies
from siplab.alg_models import catalogue, profiles
from siplab.experiments.explain import Explanation, explain
from siplab.experiments.programs import ProgramDetector
from siplab.experiments.score import controls, reach
from siplab.experiments.score.reach import Reach
from siplab.experiments.trial import assignment, endpoints, media, registry
from siplab.experiments.trial.media import StreamReport
from siplab.experiments.trial.stage import Check, Finding, Setup, Stage
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Model
from siplab.lab.worlds.base import World, WorldError
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.simulated import SimulatedWorld
from siplab.lab.worlds.trace import Trace

WorldMaker = Callable[[Network, Mapping[str, Model], object], World]


@dataclass(frozen=True)
class TrialSpec:
    """What to run. Exactly one of ``scenario`` and ``detector`` is set; names are specs.

    A detector that is no part of the lab is a ``ProgramDetector``, which needs the emulated world.
    ``control`` names a clean control of the scoreboard, whose settings the trial then has; with ``reach``
    the result says whether the router's fault was within reach of what happened.
    ``gateway``: ``queue``, the lab's own, or ``kernel``, where the router's kernel does the work.
    ``phone`` and ``server`` name kinds of them; empty is ``plain`` and ``rport-aware``.
    """

    topology: str
    model: str
    scenario: str = ""
    detector: str | ProgramDetector = ""
    mitigations: tuple[str, ...] = ()
    seed: int = 1
    model_paths: tuple[str, ...] = ()
    detector_paths: tuple[str, ...] = ()
    control: str = ""
    reach: bool = False
    gateway: str = "queue"
    phone: str = ""
    server: str = ""

    @property
    def played(self) -> str:
        """The scenario's spec, or the detector's, or the id of a detector that is a program."""
        return self.scenario or str(self.detector)

    @property
    def program(self) -> ProgramDetector | None:
        """The detector, when it is a program."""
        return self.detector if isinstance(self.detector, ProgramDetector) else None

    @property
    def kinds(self) -> dict[str, str]:
        """The kinds of endpoints that are named."""
        named = {"phone": self.phone, "server": self.server}
        return {kind: each for kind, each in named.items() if each}

    @property
    def name(self) -> str:
        """A name for people and for files, the same for the same trial."""
        parts = [self.model, self.played, *self.mitigations, f"seed{self.seed}"]
        parts += [f"{kind}-{each}" for kind, each in self.kinds.items()]
        if self.control:
            parts.insert(0, self.control)
        if self.topology != "home":
            parts.insert(0, topologies.short_name(self.topology))
        if self.gateway != "queue":
            parts.append(self.gateway)
        return "__".join(part.replace("/", "-").replace(" ", "") for part in parts)


@dataclass
class TrialResult:
    """What came of it.

    ``errors``: why the trial is void (a model that raised, packets that the kernel lost).
    ``notes``: what a reader has to know of its models, that they stand for something unknown.
    ``explanation``: why checks failed, for each of them, if somebody asked (``explained``).
    """

    spec: TrialSpec
    world: str
    checks: list[Check] = field(default_factory=list)
    finding: Finding | None = None
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    duration: float = 0.0  # seconds of the trial's clock
    packets_changed: int = 0
    reach: Reach | None = None
    media: list[StreamReport] = field(default_factory=list)
    explanation: list[Explanation] = field(default_factory=list)

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
        for each in ("model_paths", "detector_paths", "reach"):
            spec.pop(each, None)
        if self.spec.gateway == "queue":
            spec.pop("gateway")
        if self.spec.program is not None:
            spec["detector"] = self.spec.program.id
        row: dict[str, Any] = {**spec, "world": self.world, "outcome": self.outcome}
        if self.finding is not None:
            row["finding"] = asdict(self.finding)
        if self.checks:
            row["checks"] = [asdict(check) for check in self.checks]
        if self.explanation:
            row["explanation"] = [asdict(each) for each in self.explanation]
        if self.media:
            row["media"] = [asdict(stream) for stream in self.media]
        if self.reach is not None:
            row["reach"] = asdict(self.reach)
        if self.notes:
            row["notes"] = self.notes
        return row | {
            "errors": self.errors,
            "duration": round(self.duration, 6),
            "packets_changed": self.packets_changed,
        }


def explained(result: TrialResult, trace: Trace) -> TrialResult:
    """The result with the reasons of its failed checks in it."""
    spec = result.spec
    result.explanation = explain(result.checks, trace, network_of(spec), seed_of(spec))
    return result


@cache
def models(paths: tuple[str, ...] = ()) -> catalogue.Catalogue:
    """The catalogue with the user's own paths added."""
    return catalogue.load([Path(each) for each in paths])


@cache
def network(topology: str) -> Network:
    """The network of a topology, worked out once."""
    return Network(topologies.load(topology))


@cache
def _rewired(topology: str, mitigations: tuple[str, ...]) -> Network:
    changed = topologies.load(topology)
    for each in mitigations:
        changed = registry.mitigations().get(each).settings.rewire(changed)
    return Network(changed)


def network_of(spec: TrialSpec) -> Network:
    """The network of a trial: its topology's, or what its mitigations make of that. Raises ``UsageError``."""
    known = registry.mitigations()
    rewiring = tuple(each for each in spec.mitigations if hasattr(known.get(each).settings, "rewire"))
    return _rewired(spec.topology, rewiring) if rewiring else network(spec.topology)


def check_spec(spec: TrialSpec) -> None:
    """Raises ``UsageError`` when something that the trial names does not exist."""
    topology = topologies.load(spec.topology)
    for each in (*assignment.specs_in(spec.model), *assignment.models_of(spec.model, topology).values()):
        models(spec.model_paths).get(each)
    if spec.scenario:
        registry.scenarios().get(spec.scenario)
    if isinstance(spec.detector, ProgramDetector):
        spec.detector.check(topology)
    elif spec.detector:
        registry.detectors(spec.detector_paths).get(spec.detector)
    network_of(spec)
    endpoints.apply(Setup({}), spec.phone, spec.server)
    if spec.gateway == "kernel":
        from siplab.lab.worlds.emulated import kernel

        kernel.check_network(network(spec.topology))
        for each in assignment.models_of(spec.model, topology).values():
            kernel.check_model(each)


def simulated(net: Network, chosen: Mapping[str, Model], seed: object) -> World:
    """Make a simulated world."""
    return SimulatedWorld(net, chosen, seed)


def setup_of(spec: TrialSpec, net: Network) -> Setup:
    """The trial's settings with its mitigations applied, in the order in which they are named."""
    chosen = assignment.models_of(spec.model, topologies.load(spec.topology))
    # A mitigation may have taken a router away.
    setup = Setup(models={name: model for name, model in chosen.items() if name in net.topology.gateways})
    setup = endpoints.apply(setup, spec.phone, spec.server)
    if spec.control:
        setup = controls.get(spec.control).apply(setup)
    for each in spec.mitigations:
        setup = registry.mitigations().get(each).settings.apply(setup)
    return setup


# Renamed ids keep their random streams, so that no byte on the wire changes with a name.
_STREAM_NAMES: Final = {
    "stale-pinhole": "stranger",
    "call-rejected": "refused",
    "dtmf": "digits",
    "quirky(quirk=": "peculiar(habit=",
    "quirky": "peculiar",
    "strict-addresses": "naive",
    "silent-server": "dead-sink",
    "registration-readback": "readback",
    "non-standard-port": "another-port",
    "hosted-nat-traversal": "far-end-traversal",
    "bridge-mode": "modem-mode",
}


def seed_of(spec: TrialSpec) -> str:
    """What the trial's world is made with."""
    # Whoever does the work in the router, the same is said: traces can be laid side by side.
    name = replace(spec, gateway="queue").name
    for new, old in _STREAM_NAMES.items():
        name = name.replace(new, old)
    return f"{spec.seed}/{name}"


def _player(spec: TrialSpec) -> Any:
    """What has ``run(stage)``."""
    if isinstance(spec.detector, ProgramDetector):
        return spec.detector
    if spec.scenario:
        return registry.scenarios().get(spec.scenario).settings
    return registry.detectors(spec.detector_paths).get(spec.detector).settings


def run(
    spec: TrialSpec,
    make_world: WorldMaker = simulated,
    folder: Path | None = None,
    sounds: Path | None = None,
) -> tuple[TrialResult, Trace]:
    """Run one trial; an outside program's output goes into ``folder``.

    What the phones heard is written to WAV files whose names begin with ``sounds``.

    Raises ``UsageError`` for a bad spec; what goes wrong later is in the result.
    """
    net = network_of(spec)
    setup = setup_of(spec, net)
    known = models(spec.model_paths)
    seed = seed_of(spec)
    kind = "scenario" if spec.scenario else "detector"
    player = _player(spec)
    chosen = {name: known.get(model) for name, model in setup.models.items()}
    world = make_world(net, chosen, seed)
    stage = Stage(world, setup, seed, folder)
    notes = dict.fromkeys(profiles.note(model) for model in chosen.values())
    result = TrialResult(spec, world.kind, notes=[note for note in notes if note])
    try:
        outcome = player.run(stage)
    except WorldError as error:
        result.errors.append(str(error))
        outcome = None
    except Exception as error:
        # A detector of somebody's that raises has given an answer: a wrong one.
        if not spec.detector or isinstance(error, UsageError):
            raise
        outcome = Finding("error", detail=f"it raised {type(error).__name__}: {error}")
    finally:
        problems = world.close()
    result.checks = stage.checks
    result.media = media.report(stage.phones, world.now)
    if sounds is not None:
        media.record(sounds.parent, sounds.name, stage.phones, world.now)
    if kind == "detector":
        result.finding = outcome or Finding("error")
    result.errors += problems + [
        f"the model raised {each}" for each in dict.fromkeys(world.trace.model_errors)
    ]
    result.duration = world.now
    result.packets_changed = sum(
        emission.changed for passage in world.trace.passages for emission in passage.emissions
    )
    if spec.reach:
        result.reach = reach.measure(world.trace, net, seed)
    return result, world.trace
