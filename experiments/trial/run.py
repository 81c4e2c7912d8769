"""Runs one trial in a world."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from siplab import topologies
from siplab.alg_models import catalogue, profiles
from siplab.experiments.trial import answers, assignment, controls, endpoints, media, reach, registry
from siplab.experiments.trial.changed_parts import changed_parts
from siplab.experiments.trial.recording import Recorder
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.roles import NotApplicableError
from siplab.experiments.trial.spec import TrialSpec, seed_of
from siplab.experiments.trial.stage import Finding, Setup, Stage
from siplab.lab import foreign, interrupts
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Model
from siplab.lab.worlds.base import World, WorldError
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.simulated import SimulatedWorld
from siplab.lab.worlds.trace import Trace

WorldMaker = Callable[[Network, Mapping[str, Model], object], World]


@cache
def models(paths: tuple[str, ...] = ()) -> catalogue.Catalogue:
    """The catalogue with the user's own paths added."""
    return catalogue.load([Path(each) for each in paths])


@cache
def network(topology: str) -> Network:
    """The network of a topology, computed once."""
    return Network(topologies.load(topology))


@cache
def _rewired(topology: str, mitigations: tuple[str, ...]) -> Network:
    changed = topologies.load(topology)
    for each in mitigations:
        changed = registry.mitigations().get(each).settings.rewire(changed)
    return Network(changed)


def network_of(spec: TrialSpec) -> Network:
    """The network of a trial: its topology's, as changed by its mitigations. Raises ``UsageError``."""
    known = registry.mitigations()
    rewiring = tuple(each for each in spec.mitigations if hasattr(known.get(each).settings, "rewire"))
    return _rewired(spec.topology, rewiring) if rewiring else network(spec.topology)


@lru_cache(maxsize=4096)
def plugins_of(spec: TrialSpec) -> str:
    """Users' own code that takes part in a trial: files and entry points; empty if there is none."""
    found = [*spec.model_paths, *spec.detector_paths, *spec.scenario_paths]
    known = models(spec.model_paths)
    chosen = assignment.models_of(spec.model, topologies.load(spec.topology))
    found += [known.origin(each) for each in dict.fromkeys(chosen.values())]
    if spec.scenario:
        found.append(registry.scenarios(spec.scenario_paths).origin(spec.scenario))
    elif isinstance(spec.detector, str):
        found.append(registry.detectors(spec.detector_paths).origin(spec.detector))
    return ", ".join(dict.fromkeys(each for each in found if each))


def check_spec(spec: TrialSpec) -> None:
    """Raises ``UsageError`` if something that the trial names does not exist."""
    topology = topologies.load(spec.topology)
    for each in (*assignment.specs_in(spec.model), *assignment.models_of(spec.model, topology).values()):
        models(spec.model_paths).get(each)
    if spec.scenario:
        registry.scenarios(spec.scenario_paths).get(spec.scenario)
    if not isinstance(spec.detector, str):
        spec.detector.check(topology)
    elif spec.detector:
        registry.detectors(spec.detector_paths).get(spec.detector)
    network_of(spec)
    endpoints.apply(Setup({}), *endpoints.with_images(topology, spec.phone, spec.server, spec.far_phone))
    if spec.gateway == "kernel":
        from siplab.lab.worlds.emulated import kernel

        kernel.check_network(network(spec.topology))
        for each in assignment.models_of(spec.model, topology).values():
            kernel.check_model(each)


def simulated(net: Network, chosen: Mapping[str, Model], seed: object) -> World:
    """Make a simulated world."""
    return SimulatedWorld(net, chosen, seed)


def setup_of(spec: TrialSpec, net: Network) -> Setup:
    """The trial's settings with its mitigations applied, in the order given."""
    gateways = tuple(net.topology.gateways)
    kinds = spec.phone, spec.server, spec.far_phone
    return _setup(
        spec.topology, spec.model, gateways, kinds, spec.control, spec.mitigations, spec.longest, spec.vary
    )


def reproducible(spec: TrialSpec) -> bool:
    """Whether a trial has the same bytes each time: not by the wall clock, nor with OpenSSL's random keys.

    Its outcome is the same in any case. Raises ``UsageError``.
    """
    return not spec.by_wall_clock and not setup_of(spec, network_of(spec)).certificate


@lru_cache(maxsize=256)
def _setup(
    topology: str,
    model: str,
    gateways: tuple[str, ...],
    kinds: tuple[str, str, str],
    control: str,
    mitigations: tuple[str, ...],
    longest: float,
    vary: bool,
) -> Setup:
    network = topologies.load(topology)
    chosen = assignment.models_of(model, network)
    # A mitigation may have removed a router.
    setup = Setup(
        models={name: model for name, model in chosen.items() if name in gateways}, longest=longest, vary=vary
    )
    setup = endpoints.apply(setup, *endpoints.with_images(network, *kinds))
    if control:
        setup = controls.get(control).apply(setup)
    for each in mitigations:
        setup = registry.mitigations().get(each).settings.apply(setup)
    return setup


def notes_of(chosen: Iterable[Model]) -> list[str]:
    """What a reader has to know about the models, without repetitions."""
    return [note for note in dict.fromkeys(map(profiles.note, chosen)) if note]


def _player(spec: TrialSpec) -> Any:
    """The scenario or detector: an object with ``run(stage)``."""
    if not isinstance(spec.detector, str):
        return spec.detector
    if spec.scenario:
        return registry.scenarios(spec.scenario_paths).get(spec.scenario).settings
    return registry.detectors(spec.detector_paths).get(spec.detector).settings


def run(
    spec: TrialSpec,
    make_world: WorldMaker = simulated,
    folder: Path | None = None,
    recorder: Recorder | None = None,
) -> tuple[TrialResult, Trace]:
    """Run one trial. The output of outside programs goes into ``folder``.

    ``recorder`` writes what the phones said and heard.

    Raises ``UsageError`` for a bad spec. Later errors are in the result.
    """
    net = network_of(spec)
    setup = setup_of(spec, net)
    known = models(spec.model_paths)
    seed = seed_of(spec)
    kind = "scenario" if spec.scenario else "detector"
    player = _player(spec)
    chosen = {name: known.get(model) for name, model in setup.models.items()}
    world = make_world(net, chosen, seed)
    stage: Stage = (registry.program_stage() if spec.real else Stage)(world, setup, seed, folder)
    if setup.later is not None:
        stage.later = {name: known.get(model) for name, model in setup.later.models.items()}
    result = TrialResult(spec, world.kind, notes=notes_of(chosen.values()))
    result.models = dict(setup.models)
    if setup.certificate:
        result.reproducible = False
        result.notes.append(
            "TLS draws its keys at random: the bytes differ from run to run, the outcome does not"
        )
    result.unknown = any(map(profiles.is_unknown, chosen.values()))
    outcome: Finding | None = None
    try:
        stage.begin()
        answer = player.run(stage)
        outcome = answers.finding(answer) if kind == "detector" else None
    except NotApplicableError as error:
        result.not_applicable = str(error)
    except WorldError as error:
        result.errors.append(foreign.one_line(str(error)))
    except BaseException as error:
        if spec.detector and isinstance(error, Exception) and not isinstance(error, UsageError):
            # A detector that raises has answered: the answer is wrong.
            outcome = Finding("error", detail=f"it raised {foreign.told(error)}")
        elif interrupts.is_users(error) or not plugins_of(spec):
            raise
        else:
            result.errors.append(f"the {kind} raised {foreign.told(error)}")
    finally:
        problems = stage.finish() + world.close()
    result.checks, wrong = answers.checks(stage.checks)
    problems += wrong
    result.media = media.report(stage.phones, world.now)
    if recorder is not None:
        recorder.record(stage.phones, world.now)
    if kind == "detector":
        result.finding = outcome or Finding("error")
    passages = world.trace.passages
    emissions = [emission for passage in passages for emission in passage.emissions]
    raised = dict.fromkeys(emission.error for emission in emissions if emission.error)
    result.errors += problems + [f"the model raised {each}" for each in raised]
    result.duration = world.now
    result.packets_changed = sum(emission.changed for emission in emissions)
    if spec.changes:
        result.changes = changed_parts(passages)
    if spec.reach:
        result.reach = reach.measure(world.trace, net, seed, chosen)
    world.untie()
    return result, world.trace
