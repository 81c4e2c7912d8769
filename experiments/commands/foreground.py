"""Tasks of bubbles that run a user's program: ``siplab exec`` and ``siplab shell``."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from siplab.experiments.output import files, pcapng, side_captures
from siplab.experiments.programs import agents, placeholders
from siplab.experiments.programs.endpoints.stage import ProgramStage
from siplab.experiments.trial import assignment, endpoints, worker
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import is_program
from siplab.experiments.trial.stage import Setup, Stage
from siplab.lab.errors import UsageError
from siplab.lab.worlds.base import WorldError
from siplab.lab.worlds.emulated.foreground import interruptible, interruptible_container
from siplab.lab.worlds.emulated.kernel import KernelLab, KernelWorld, with_alg
from siplab.lab.worlds.emulated.live import LiveWorld
from siplab.lab.worlds.emulated.world import EmulatedLab
from siplab.lab.worlds.topology import Topology


@dataclass(frozen=True)
class Program:
    """What to run where.

    ``also``: ``(host, command line)`` of programs beside it; ``agents``: the lab's own. ``mininet``: its
    command line in the place of a program. ``image``: a container in which the program runs.
    """

    topology: str
    model: str
    host: str
    command: tuple[str, ...]
    model_paths: tuple[str, ...] = ()
    also: tuple[tuple[str, str], ...] = ()
    agents: tuple[str, ...] = ()
    pcap: Path | None = None
    trace: Path | None = None
    seed: int = 1
    gateway: str = "queue"
    mininet: bool = False
    image: str = ""


def execute(connection: Connection) -> int:
    """Run one ``Program`` in the foreground; its exit status is this process's."""
    request: Program = connection.recv()
    worker.prepare()
    try:
        status = _run(request)
    except UsageError as error:
        print(f"siplab: {error}", file=sys.stderr)
        return 2
    except WorldError as error:
        print(f"siplab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    with suppress(OSError):
        connection.close()
    return status


def _run(request: Program) -> int:
    net = trial.network(request.topology)
    chosen = assignment.models_of(request.model, net.topology)
    models = {name: trial.models(request.model_paths).get(spec) for name, spec in chosen.items()}
    world = (
        KernelWorld(KernelLab(net, with_alg(models)), request.seed)
        if request.gateway == "kernel"
        else LiveWorld(EmulatedLab(net), models, request.seed)
    )
    stage: Stage | None = None
    try:
        real = bool(net.topology.images) or any(map(is_program, request.agents))
        make = ProgramStage if real else Stage
        stage = make(world, endpoints.apply(Setup(models=chosen)), request.seed)
        stage.begin()
        agents.start(stage, request.agents, "--with")
        if isinstance(stage, ProgramStage):
            stage.hosted.start(phones=True)
        for host, line in request.also:
            world.start(host, shlex.split(line), stdout=sys.stderr.fileno())
        environment = _environment(request, net.topology)
        if request.image:
            status = interruptible_container(
                world,
                lambda: world.start_container(
                    request.host,
                    request.image,
                    request.command,
                    stdout=sys.stdout.fileno(),
                    stderr=sys.stderr.fileno(),
                    environment=environment,
                ),
            )
        else:
            status = interruptible(
                world,
                lambda: (
                    world.mininet_shell()
                    if request.mininet
                    else world.start(request.host, request.command, stdin=None, environment=environment)
                ),
            )
    finally:
        problems = (stage.finish() if stage is not None else []) + world.close()
    if request.pcap is not None:
        pcapng.write(world.trace, request.pcap)
        side_captures.write(world.trace, net, request.pcap)
    if request.trace is not None:
        files.write_text(request.trace, world.trace.to_json_lines())
    for problem in problems:
        print(f"siplab: {problem}", file=sys.stderr)
    return status


def _environment(request: Program, topology: Topology) -> dict[str, str]:
    """What a program may want to know: where it is, and the addresses of the others."""
    values = placeholders.variables(topology, request.host, request.model)
    if request.command and Path(request.command[0]).name in ("bash", "sh"):
        values["PS1"] = f"({request.model}) {request.host}:\\w# "
    return {**values, "TERM": os.environ.get("TERM", "dumb")}
