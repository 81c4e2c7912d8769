"""Runs in the bubble: one lab at a time, served by the wall clock whatever the test is doing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from siplab.experiments.programs import agents, placeholders
from siplab.experiments.programs.config import Ready
from siplab.experiments.programs.endpoints.stage import ProgramStage
from siplab.experiments.programs.process import Process
from siplab.experiments.programs.running import ProgramError, await_ready, how_it_went
from siplab.experiments.trial import assignment, endpoints, worker
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.experiments.trial.stage import Setup, Stage
from siplab.lab.errors import UsageError
from siplab.lab.worlds.base import WorldError
from siplab.lab.worlds.emulated import bubble, processes
from siplab.lab.worlds.emulated.live import LiveWorld
from siplab.lab.worlds.emulated.sockets import RawSender
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.trace import Trace

# Seconds that a program gets to clean up, when it is stopped and when the lab ends.
_GRACE: Final = 2.0
_LAST_GRACE: Final = 0.1
# Seconds to follow packets that are under way before a trace is returned.
_SETTLING: Final = 0.01
_LONG: Final = 3600.0


@dataclass(frozen=True)
class LabSpec:
    """A lab to build."""

    topology: str
    model: str
    agents: tuple[str, ...] = ()
    gateway: str = "queue"
    seed: int = 1
    model_paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Order:
    """A program to start. Times are in seconds."""

    host: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    directory: str
    ready: Ready | None = None


@dataclass(frozen=True)
class Completed:
    """What a program did.

    ``status``: its exit status, or minus the signal that ended it; ``None`` while it runs.
    """

    host: str
    command: tuple[str, ...]
    status: int | None
    stdout: str
    stderr: str
    seconds: float


class _Lab:
    """A running lab with its programs."""

    def __init__(self, spec: LabSpec, labs: worker.EmulatedLabs) -> None:
        self.spec = spec
        self.network: Network = trial.network(spec.topology)
        self._numbers = count(1)
        chosen = assignment.models_of(spec.model, self.network.topology)
        known = trial.models(spec.model_paths)
        make = labs.kernel if spec.gateway == "kernel" else labs.live
        world = make(self.network, {name: known.get(each) for name, each in chosen.items()}, spec.seed)
        assert isinstance(world, LiveWorld)
        self.world = world
        self.before = processes.present()
        self.programs: dict[int, Process] = {}
        self.finished: dict[int, Completed] = {}
        kind = ProgramStage if self.network.topology.images else Stage
        self._stage: Stage = kind(world, endpoints.apply(Setup(models=chosen)), spec.seed)

    def start_agents(self, names: tuple[str, ...]) -> None:
        agents.start(self._stage, names)

    def begin(self) -> None:
        """Start the containers of the topology."""
        self._stage.begin()

    def start(self, order: Order) -> int:
        environment = {
            **placeholders.variables(self.network.topology, order.host, self.spec.model),
            **order.environment,
        }
        process = Process(
            self.world,
            Path(order.command[0]).name,
            order.host,
            order.command,
            environment,
            directory=order.directory,
        )
        number = next(self._numbers)
        self.programs[number] = process
        if order.ready is not None:
            try:
                await_ready(self.world, process, order.ready)
            except ProgramError:
                self.finish(number, _LAST_GRACE)
                raise
        return number

    def finish(self, number: int, grace: float) -> Completed:
        """End a program and its process group. What it did can still be read."""
        process = self.programs.pop(number, None)
        if process is not None:
            process.end(grace)
            process.close()
            self.finished[number] = _completed(process)
        return self.finished[number]

    def look(self, number: int) -> Completed:
        """What a program did so far."""
        process = self.programs.get(number)
        if process is None:
            return self.finished[number]
        process.drain()
        return _completed(process)

    def end(self) -> list[str]:
        """End everything. Returns the world's errors."""
        for number in reversed(list(self.programs)):
            self.finish(number, _LAST_GRACE)
        problems = self._stage.finish()
        processes.end_all_but(self.before)
        return problems + self.world.close()

    def report(self) -> list[Completed]:
        """What the programs did, in the order in which they were started."""
        return [self.look(number) for number in sorted([*self.programs, *self.finished])]


class Desk:
    """Handles a test's requests. Its public methods are the possible requests."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._labs = worker.EmulatedLabs()
        self._lab: _Lab | None = None
        self._failure: Exception | None = None

    def handle(self, what: str, *arguments: Any) -> Any:
        return getattr(self, what)(*arguments)

    def wait(self) -> None:
        """Serve the lab until the test sends a request."""
        if self._lab is None or self._failure is not None:
            return
        world, asked = self._lab.world, []
        descriptor = self._connection.fileno()
        world.watch(descriptor, lambda: asked.append(True))
        try:
            while not asked:
                world.run_until(lambda: bool(asked), _LONG)
        except Exception as error:
            self._failure = error  # the next request will raise it
        finally:
            world.unwatch(descriptor)

    # -- the lab -----------------------------------------------------------------------------------

    def open(self, spec: LabSpec) -> None:
        """Build a lab and start the lab's own agents in it."""
        self._lab, self._failure = _Lab(spec, self._labs), None
        try:
            self._lab.begin()
            self._lab.start_agents(spec.agents)
        except BaseException:
            self.close()
            raise

    def close(self) -> tuple[Trace, list[Completed], list[str]]:
        """End the lab. Returns the trace, what the programs did, and what was wrong with the lab."""
        lab, self._lab = self._lab, None
        assert lab is not None
        spoilt = True
        try:
            lab.world.run_until(lambda: False, _SETTLING)
            problems = lab.end()
            problems += [f"the model raised {each}" for each in dict.fromkeys(lab.world.trace.model_errors)]
            if self._failure is not None:
                problems.append(f"{type(self._failure).__name__}: {self._failure}")
            spoilt = bool(problems)
        finally:
            self._labs.release(lab.network, spoilt=spoilt or bool(lab.network.topology.images), worn=True)
        return lab.world.trace, lab.report(), problems

    def trace(self) -> Trace:
        """All that was seen so far."""
        lab = self._running()
        lab.world.run_until(lambda: False, _SETTLING)
        return lab.world.trace

    def start_agents(self, names: tuple[str, ...]) -> None:
        """Start agents of the lab's own."""
        self._running().start_agents(names)

    def send(self, host: str, packet: bytes) -> None:
        """Put an IP packet on the wire from a host."""
        if not packet or packet[0] >> 4 not in (4, 6):
            raise UsageError("what is sent is no IP packet: it begins with an IP header, without Ethernet's")
        sender = RawSender(self._running().world.namespace(host))
        try:
            sender.send(packet)
        except OSError as error:
            raise UsageError(f"{host} can't send that packet: {error.strerror}") from None
        finally:
            sender.close()

    # -- programs ----------------------------------------------------------------------------------

    def start(self, order: Order) -> int:
        """Start a program and wait until it is ready. Returns its number."""
        return self._running().start(order)

    def run(self, order: Order, timeout: float) -> Completed:
        """Run a program to its end. One that does not end in time is ended."""
        number = self.start(order)
        try:
            self.wait_for(number, timeout)
        finally:
            self._running().finish(number, _LAST_GRACE)
        return self._running().look(number)

    def wait_for(self, number: int, timeout: float) -> Completed:
        """Wait for a program to end. Raises ``ProgramError`` if it does not end in time."""
        lab = self._running()
        process = lab.programs.get(number)
        if process is not None:
            lab.world.run_until(lambda: process.over, timeout)
            process.drain()
            if process.flooding:
                raise ProgramError(f"{how_it_went(process)} (on {process.host})")
            if process.status is None:
                raise ProgramError(
                    f"the {process.name} on {process.host} was still running after {timeout:g} s"
                    f"{process.last_words}"
                )
        return lab.look(number)

    def stop(self, number: int) -> Completed:
        """Ask a program and its child processes to end, then kill them."""
        return self._running().finish(number, _GRACE)

    def programs(self) -> list[Completed]:
        """What the programs did so far."""
        return self._running().report()

    # -- trials ------------------------------------------------------------------------------------

    def trial(self, spec: TrialSpec) -> tuple[TrialResult, Trace]:
        """Run a trial of the lab's own."""
        if self._lab is not None:
            raise UsageError("there is a lab in this bubble")
        return self._labs.run(spec, None)

    def _running(self) -> _Lab:
        if self._failure is not None:
            raise WorldError(f"the lab failed: {type(self._failure).__name__}: {self._failure}")
        if self._lab is None:
            raise UsageError("this lab is closed")
        return self._lab


def _completed(process: Process) -> Completed:
    return Completed(
        process.host,
        process.command,
        process.status,
        process.stdout.decode("utf-8", "replace"),
        process.stderr.decode("utf-8", "replace"),
        round(process.seconds, 3),
    )


def task(connection: Connection) -> None:
    """Task of a bubble."""
    desk = Desk(connection)
    bubble.serve(connection, desk.handle, desk.wait)
