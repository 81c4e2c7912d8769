"""Tasks of bubbles that run a user's program: ``alglab exec`` and ``alglab shell``."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from experiments import trial, worker
from experiments.output import pcapng
from experiments.stage import Setup, Stage
from lab.errors import UsageError
from lab.worlds.base import WorldError
from lab.worlds.emulated.live import LiveWorld, interruptible
from lab.worlds.emulated.world import EmulatedLab


@dataclass(frozen=True)
class Program:
    """What to run where.

    ``also``: ``(host, command line)`` of programs beside it; ``agents``: the lab's own.
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


AGENTS = ("server", "far-phone", "mirror")


def execute(connection: Connection) -> int:
    """Run one ``Program`` in the foreground; its exit status is this process's."""
    request: Program = connection.recv()
    worker.prepare()
    try:
        status = _run(request)
    except UsageError as error:
        print(f"alglab: {error}", file=sys.stderr)
        return 2
    except WorldError as error:
        print(f"alglab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    with suppress(OSError):
        connection.close()
    return status


def _run(request: Program) -> int:
    net = trial.network(request.topology)
    model = trial.models(request.model_paths).get(request.model)
    lab = EmulatedLab(net)
    world = LiveWorld(lab, dict.fromkeys(net.topology.gateways, model), request.seed)
    try:
        stage = Stage(world, Setup(models=dict.fromkeys(net.topology.gateways, request.model)), request.seed)
        _start_agents(stage, request.agents)
        for host, line in request.also:
            world.start(host, shlex.split(line), stdout=sys.stderr.fileno())
        process = world.start(
            request.host, request.command, stdin=None, environment=_environment(request, net.topology.hosts)
        )
        status = interruptible(world, process)
    finally:
        problems = world.close()
    if request.pcap is not None:
        pcapng.write(world.trace, request.pcap)
    if request.trace is not None:
        request.trace.write_text(world.trace.to_json_lines(), encoding="utf-8")
    for problem in problems:
        print(f"alglab: {problem}", file=sys.stderr)
    return status


def _start_agents(stage: Stage, agents: tuple[str, ...]) -> None:
    for name in agents:
        if name not in AGENTS:
            raise UsageError(f"--with {name}: the lab has {', '.join(AGENTS)}")
    if "mirror" in agents and len(agents) > 1:
        raise UsageError("--with mirror takes the server's place: leave the others out")
    if "mirror" in agents:
        stage.mirror()
    if "server" in agents or "far-phone" in agents:
        _ = stage.server
    if "far-phone" in agents:
        stage.do(stage.far_phone, stage.far_phone.register)


def _environment(request: Program, hosts: object) -> dict[str, str]:
    """What a program may want to know: where it is, and the addresses of the others."""
    values = {"ALGLAB_HOST": request.host, "ALGLAB_MODEL": request.model, "ALGLAB_TOPOLOGY": request.topology}
    assert isinstance(hosts, dict)
    for name, host in hosts.items():
        values[f"ALGLAB_{name.upper().replace('-', '_')}_IP"] = host.address
    if Path(request.command[0]).name in ("bash", "sh"):
        values["PS1"] = f"({request.model}) {request.host}:\\w# "
    return {**values, "TERM": os.environ.get("TERM", "dumb")}
