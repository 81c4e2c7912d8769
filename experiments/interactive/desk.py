"""The process of a running lab: it serves the network by the wall clock, and answers requests.

It runs in the lab's bubble. Requests are those of ``HANDLERS``. A wrong request is answered by an error line.
Nothing that a caller does ends the lab, except ``down``.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from siplab.experiments.interactive import line
from siplab.experiments.interactive.capture import LiveCapture
from siplab.experiments.interactive.passed import Passed
from siplab.experiments.output import files, pcapng, side_captures
from siplab.experiments.programs import agents, placeholders
from siplab.experiments.programs.endpoints.stage import ProgramStage
from siplab.experiments.trial import assignment, endpoints, worker
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.roles import NotApplicableError
from siplab.experiments.trial.stage import Setup
from siplab.lab.errors import UsageError
from siplab.lab.worlds.base import WorldError
from siplab.lab.worlds.emulated.containers import ContainerProcess
from siplab.lab.worlds.emulated.live import LiveWorld
from siplab.lab.worlds.emulated.world import EmulatedLab
from siplab.lab.worlds.trace import Passage, Received, Record, Sent, SkippedPackets, Trace, looks_like_sip

SOCKET: Final = "SIPLAB_DESK"
GUARDIAN: Final = "SIPLAB_GUARDIAN"
MOST_RECORDS: Final = 50_000  # records kept of a lab that may be up for days
_LONG: Final = 3600.0


@dataclass(frozen=True)
class Plan:
    """A lab to build. ``phone``, ``far_phone`` and ``server``: kinds; ``server`` may be a real program, too.

    ``agents``: the lab's own agents in it. ``attach_to``: the network that a real card joins, if a guardian's
    line is given. ``also``: ``(host, command line)`` of programs in it, which print to standard error.
    ``pcap``, ``trace``: files that get everything that happened when the lab ends.
    """

    topology: str
    model: str
    phone: str = ""
    far_phone: str = ""
    server: str = ""
    agents: tuple[str, ...] = ()
    model_paths: tuple[str, ...] = ()
    seed: int = 1
    attach_to: str = ""
    also: tuple[tuple[str, str], ...] = ()
    pcap: Path | None = None
    trace: Path | None = None

    @property
    def whole(self) -> bool:
        """Whether the whole trace is kept."""
        return self.pcap is not None or self.trace is not None


class LiveTrace(Trace):
    """The latest records; passes each to observers. Media are counted; only a ``whole`` trace keeps them."""

    def __init__(self, *, whole: bool) -> None:
        super().__init__()
        self._whole = whole
        self.watchers: list[Callable[[Record], None]] = []
        self.total = 0

    def add(self, record: Record) -> None:
        self.total += 1
        for each in list(self.watchers):
            each(record)
        if self._whole or not _is_media(record):
            super().add(record)

    def forget(self) -> None:
        """Keep only the latest records, unless the trace is ``whole``."""
        if not self._whole:
            del self.records[:-MOST_RECORDS]


def _is_media(record: Record) -> bool:
    if isinstance(record, Sent | Received):
        return not looks_like_sip(record.payload)
    if isinstance(record, Passage):
        return (
            not any(each.changed or each.error for each in record.emissions)
            and b"SIP/2.0" not in record.packet
        )
    return isinstance(record, SkippedPackets)


class Desk:
    """A running lab. ``announce`` is called once, when it is up."""

    def __init__(self, plan: Plan, door: socket.socket) -> None:
        self._plan = plan
        self._door = door
        self._network = trial.network(plan.topology)
        self._chosen = assignment.models_of(plan.model, self._network.topology)
        known = trial.models(plan.model_paths)
        models = {name: known.get(spec) for name, spec in self._chosen.items()}
        self._world = LiveWorld(EmulatedLab(self._network), models, plan.seed)
        self._trace = self._world.trace = LiveTrace(whole=plan.whole)
        self._trace.watchers.append(self._look)
        self._passed = Passed()
        self._trace.watchers.append(self._passed.take)
        self._began = time.time() - self._world.now
        self._captures: dict[LiveCapture, socket.socket] = {}  # with the caller who waits for its end
        self._programs: dict[int, tuple[str, Any]] = {}
        self._contained: dict[socket.socket, ContainerProcess] = {}
        self._callers: set[socket.socket] = set()
        self._over = False
        if plan.attach_to:
            self._world.attach(plan.attach_to, int(os.environ[GUARDIAN]))
        self._stage = self._people()

    def _people(self) -> ProgramStage:
        plan = self._plan
        setup = endpoints.apply(Setup(models=self._chosen), plan.phone, plan.server, plan.far_phone)
        stage = ProgramStage(self._world, setup, plan.seed)
        try:
            stage.begin()
            self._enter(stage)
        except BaseException:
            stage.finish()
            raise
        return stage

    def _enter(self, stage: ProgramStage) -> None:
        plan = self._plan
        if plan.server:
            _ = stage.server
        agents.start(stage, plan.agents, "--with")
        for host, command in plan.also:
            self._world.start(host, shlex.split(command), stdout=sys.stderr.fileno())
        for asked, role in ((plan.far_phone, "far_phone"), (plan.phone, "phone")):
            if asked:
                phone = getattr(stage, role)
                stage.do(phone, phone.register)
        stage.hosted.start(phones=True)

    # -- the loop ----------------------------------------------------------------------------------

    def serve(self) -> list[str]:
        """Serve until a caller says ``down``. Returns the world's errors."""
        self._door.setblocking(False)
        self._world.watch(self._door.fileno(), self._open)
        try:
            while not self._over:
                self._world.run_until(lambda: self._over, _LONG)
                self._trace.forget()
        finally:
            for capture, caller in list(self._captures.items()):
                self._end(capture, caller)
            problems = self._stage.finish() + self._world.close()
            for caller in list(self._callers):
                caller.close()
        self._write()
        return problems

    def _write(self) -> None:
        if self._plan.pcap is not None:
            pcapng.write(self._trace, self._plan.pcap)
            side_captures.write(self._trace, self._network, self._plan.pcap)
        if self._plan.trace is not None:
            files.write_text(self._plan.trace, self._trace.to_json_lines())

    def _open(self) -> None:
        try:
            caller, _ = self._door.accept()
        except OSError:
            return
        if not line.is_this_user(caller):
            caller.close()
            return
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, line.LONGEST)
        self._callers.add(caller)
        self._world.watch(caller.fileno(), lambda: self._hear(caller))

    def _hear(self, caller: socket.socket) -> None:
        request, descriptors = line.received(caller)
        if request is None:
            line.close_all(descriptors)
            self._hang_up(caller)
            return
        handler = HANDLERS.get(str(request.pop("do", "")))
        try:
            if handler is None:
                raise UsageError("this lab is of another version of siplab: start it anew")
            answer = handler(self, caller, descriptors, **request)
        except (UsageError, WorldError, TypeError, ValueError, OSError) as error:
            line.send(caller, {"error": str(error)})
        else:
            if answer is not _LATER:
                line.send(caller, {"answer": answer})
        finally:
            line.close_all(descriptors)

    def _hang_up(self, caller: socket.socket) -> None:
        if caller in self._callers:
            self._callers.discard(caller)
            self._world.unwatch(caller.fileno())
            if caller in self._contained:
                self._contained[caller].signal(signal.SIGKILL)
            for number, (_, process) in list(self._programs.items()):
                if getattr(process, "caller", None) is caller:
                    self._world.stop(process)
                    self._programs.pop(number, None)
            for capture in [each for each, who in self._captures.items() if who is caller]:
                self._end(capture, caller)
            caller.close()

    # -- requests ----------------------------------------------------------------------------------

    def status(self, caller: socket.socket, descriptors: list[int]) -> dict[str, object]:
        """The lab's state: hosts, taps, models, bindings, programs."""
        topology = self._network.topology
        now = self._world.gateway_time
        return {
            "topology": topology.id,
            "seconds": round(self._world.now, 1),
            "hosts": {name: host.address for name, host in topology.hosts.items()},
            "models": {name: gateway.model.id for name, gateway in self._world.gateways.items()},
            "taps": [
                *(f"{each}/{side}" for each in topology.gateways for side in ("inside", "outside")),
                *topology.hosts,
            ],
            "bindings": [
                {
                    "gateway": name,
                    "protocol": {6: "tcp", 17: "udp"}.get(each.protocol, str(each.protocol)),
                    "inside": str(each.inside),
                    "outside": str(each.outside),
                    "seconds": round(each.expires - now, 1),
                }
                for name, gateway in self._world.gateways.items()
                for each in gateway.nat.bindings
                if each.alive(now)
            ],
            "containers": self._stage.hosted.states(),
            "programs": [f"{host}: {' '.join(process.args)}" for host, process in self._programs.values()],
            "records": self._trace.total,
        }

    def execute(
        self, caller: socket.socket, descriptors: list[int], host: str, command: list[str], directory: str,
        environment: dict[str, str], image: str = "",
    ) -> object:  # fmt: skip
        """Start a program with the caller's three standard streams. The answer is its exit status.

        ``image``: the container that it runs in, without standard input.
        """
        if len(descriptors) != 3:
            raise UsageError("a program needs the three standard streams of who asks for it")
        variables = placeholders.variables(self._network.topology, host, self._chosen_text())
        if image:
            return self._contain(caller, descriptors, host, command, variables, image)
        process = self._world.start(
            host,
            command,
            stdin=descriptors[0],
            stdout=descriptors[1],
            stderr=descriptors[2],
            environment={**environment, **variables},
            directory=directory,
            session=True,
        )
        ended = os.pidfd_open(process.pid)
        self._programs[process.pid] = (host, process)
        process.caller = caller  # type: ignore[attr-defined]  # the program ends with its caller

        def over() -> None:
            if process.poll() is None:
                return
            self._world.unwatch(ended)
            os.close(ended)
            self._programs.pop(process.pid, None)
            status = process.returncode
            line.send(caller, {"answer": status if status >= 0 else 128 - status})

        self._world.watch(ended, over)
        return _LATER

    def _contain(
        self, caller: socket.socket, descriptors: list[int], host: str, command: list[str],
        environment: dict[str, str], image: str,
    ) -> object:  # fmt: skip
        container = self._world.start_container(
            host, image, command, stdout=descriptors[1], stderr=descriptors[2], environment=environment
        )
        self._contained[caller] = container

        def over() -> None:
            status = container.poll()
            if status is not None:
                self._world.unwatch(container.fileno())
                container.close()
                self._contained.pop(caller, None)
                line.send(caller, {"answer": status if status >= 0 else 128 - status})

        self._world.watch(container.fileno(), over)
        return _LATER

    def logs(self, caller: socket.socket, descriptors: list[int], host: str) -> None:
        """Write what the container on a host printed to a descriptor."""
        self._fill(descriptors, self._stage.hosted.printed(host))

    def fetch(self, caller: socket.socket, descriptors: list[int], host: str, path: str) -> None:
        """Write a file or folder of the container on a host to a descriptor, as a tar archive."""
        self._fill(descriptors, self._container(host).read(path))

    def put(self, caller: socket.socket, descriptors: list[int], host: str, folder: str) -> None:
        """Unpack a descriptor's tar archive in a folder of the container on a host."""
        with os.fdopen(os.dup(descriptors[0]), "rb") as archive:
            self._container(host).write(folder, archive.read())

    def _container(self, host: str) -> ContainerProcess:
        container = self._stage.hosted.of(host).container
        assert container is not None
        return container

    @staticmethod
    def _fill(descriptors: list[int], data: bytes) -> None:
        if len(descriptors) != 1:
            raise UsageError("there is no file to write to")
        with os.fdopen(os.dup(descriptors[0]), "wb") as file:
            file.write(data)

    def interrupt(self, caller: socket.socket, descriptors: list[int], number: int) -> object:
        """Send the caller's program a signal."""
        if caller in self._contained:
            self._contained[caller].signal(signal.Signals(number))
        for _, process in self._programs.values():
            if process.caller is caller:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.Signals(number))
        return _LATER

    def capture(self, caller: socket.socket, descriptors: list[int], tap: str) -> object:
        """Write what passes a tap to a descriptor, until its reader closes it."""
        topology = self._network.topology
        gateway, _, side = tap.partition("/")
        if not (tap in topology.hosts or (gateway in topology.gateways and side in ("inside", "outside"))):
            taps = ", ".join(
                [*(f"{each}/inside, {each}/outside" for each in topology.gateways), *topology.hosts]
            )
            raise UsageError(f"no tap '{tap}'; there are {taps}")
        if len(descriptors) != 1:
            raise UsageError("a capture needs somewhere to go")
        if tap in topology.hosts:
            self._world.tap(tap)
        capture = LiveCapture(tap, os.dup(descriptors[0]), self._began)
        self._captures[capture] = caller
        return _LATER

    def _look(self, record: Record) -> None:
        for capture, caller in list(self._captures.items()):
            capture.take(record)
            if capture.over:
                self._end(capture, caller)

    def _end(self, capture: LiveCapture, caller: socket.socket) -> None:
        del self._captures[capture]
        capture.close()
        line.send(caller, {"answer": capture.lost})

    def alg(
        self,
        caller: socket.socket,
        descriptors: list[int],
        model: str,
        flows: str = "all",
        flush: bool = False,
    ) -> dict[str, str]:
        """Put another model into every gateway that has the trial's, or into those that the spec names."""
        if flows not in ("all", "new"):
            raise UsageError("--flows is 'all' or 'new'")
        chosen = assignment.models_of(model, self._network.topology)
        known = trial.models(self._plan.model_paths)
        found = {name: known.get(spec) for name, spec in chosen.items()}
        for name, each in found.items():
            if self._world.gateways[name].model.id != each.id or flush:
                self._world.swap(name, each, flows="new" if flows == "new" else "all", flush=flush)
        self._chosen = chosen
        return chosen

    def messages(self, caller: socket.socket, descriptors: list[int], since: int) -> list[dict[str, Any]]:
        """The SIP messages that passed the routers after the one with that number."""
        return self._passed.since(since)

    def age(self, caller: socket.socket, descriptors: list[int], seconds: float) -> None:
        """Make everything that the routers remember so many seconds older."""
        if not isinstance(seconds, int | float) or not 0 < seconds <= 1e6:
            raise UsageError("name a number of seconds above 0, a million at most")
        self._world.age(float(seconds))

    def down(self, caller: socket.socket, descriptors: list[int]) -> None:
        """End the lab."""
        self._over = True

    def _chosen_text(self) -> str:
        return next(iter(self._chosen.values()), "")


_LATER: Final = object()
HANDLERS: Final[Mapping[str, Callable[..., object]]] = {
    "status": Desk.status,
    "exec": Desk.execute,
    "signal": Desk.interrupt,
    "logs": Desk.logs,
    "fetch": Desk.fetch,
    "put": Desk.put,
    "capture": Desk.capture,
    "alg": Desk.alg,
    "messages": Desk.messages,
    "age": Desk.age,
    "down": Desk.down,
}


def task(connection: Connection) -> int:
    """Task of a bubble: a running lab. Reports ``ready`` or an error, and at the end the world's errors."""
    plan: Plan = connection.recv()
    signal.signal(signal.SIGINT, lambda number, frame: None)
    worker.prepare()
    door = socket.socket(fileno=os.dup(int(os.environ[SOCKET])))
    os.close(int(os.environ.pop(SOCKET)))
    try:
        desk = Desk(plan, door)
    except (UsageError, WorldError, NotApplicableError) as error:
        connection.send(str(error))
        return 2
    connection.send(None)
    problems = desk.serve()
    with suppress(OSError):
        connection.send(problems)
    return 0
