"""One trial of an outside detector: its server gets ready, its client runs, its verdict is read.

Whatever a program does (hangs, crashes, prints without end, leaves processes behind), the trial ends with a
finding. Nothing of the program is left when the next trial begins.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

from siplab.experiments.programs import agents, placeholders, verdicts
from siplab.experiments.programs.config import ProgramConfig, ProgramDetector, Ready
from siplab.experiments.programs.process import Process
from siplab.experiments.trial.spec import needs_emulated
from siplab.experiments.trial.stage import Finding, Stage
from siplab.lab.errors import UsageError
from siplab.lab.worlds.base import WorldError
from siplab.lab.worlds.emulated import host_files, ports, processes
from siplab.lab.worlds.emulated.confinement import Confinement
from siplab.lab.worlds.emulated.live import LiveWorld

# Seconds between two looks at things that no event announces, such as a bound port.
_LOOK: Final = 0.005
# Seconds that a server gets to clean up before it is ended.
_GRACE: Final = 0.1


class ProgramError(Exception):
    """Why there is no verdict, in one line."""


def run(detector: ProgramDetector, stage: Stage) -> Finding:
    """Run the detector. If one of its programs fails, the verdict is ``error``, with the reason.

    Raises ``UsageError`` for errors in the detector's description, or outside the emulated world.
    """
    world = stage.world
    if not isinstance(world, LiveWorld):
        raise UsageError(needs_emulated(f"detector '{detector.id}'"))
    detector.check(world.network.topology)
    agents.start(stage, detector.agents)
    with _folder(stage) as folder:
        trial = _Trial(detector, stage, world, folder)
        finding = trial.play()
        trial.write(finding)
    return finding


@contextmanager
def _folder(stage: Stage) -> Iterator[Path]:
    """An empty folder for the trial's files. It is kept if the user asked for them."""
    if stage.folder is not None:
        if stage.folder.exists():
            shutil.rmtree(stage.folder)
        stage.folder.mkdir(parents=True)
        yield stage.folder.resolve()
        return
    # Visible on all hosts of the bubble. Its content ends with the bubble, however that ends.
    with tempfile.TemporaryDirectory(dir=host_files.SHARED, ignore_cleanup_errors=True) as made:
        yield Path(made)


class _Trial:
    def __init__(self, detector: ProgramDetector, stage: Stage, world: LiveWorld, folder: Path) -> None:
        self._detector = detector
        self._world = world
        self._folder = folder
        topology = world.network.topology
        self._topology = topology
        self._model = next(iter(stage.setup.models.values()), "")
        self._values = {
            **placeholders.addresses(topology),
            "port": str(stage.setup.sip_port),
            "folder": str(folder),
            "here": detector.here or str(Path.cwd()),
            "model": self._model,
            "topology": topology.id,
        }
        self._started: list[Process] = []

    def play(self) -> Finding:
        before = processes.present()
        try:
            return self._verdict()
        except ProgramError as error:
            return Finding("error", detail=str(error))
        finally:
            for process in reversed(self._started):
                process.end(_GRACE)
            processes.end_all_but(before)
            for process in self._started:
                process.close()

    def write(self, finding: Finding) -> None:
        """Write what the programs printed to the folder."""
        programs = {}
        for process in self._started:
            for stream, data in (("stdout", process.stdout), ("stderr", process.stderr)):
                (self._folder / f"{process.name}.{stream}").write_bytes(data)
            programs[process.name] = {
                "host": process.host,
                "command": list(process.command),
                **({"image": process.image} if process.image else {}),
                "status": process.status,
                "seconds": round(process.seconds, 3),
            }
        row = {"detector": self._detector.id, **asdict(finding), "programs": programs}
        (self._folder / "outcome.json").write_text(
            json.dumps(row, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )

    # -- the programs ----------------------------------------------------------------------------

    def _verdict(self) -> Finding:
        server: Process | None = None
        if self._detector.server is not None:
            server = self._start("server", "server", self._detector.server)
        host, _ = placeholders.host_of(self._detector.client, "phone", self._topology, "client.host")
        before = ports.packets_sent(self._world.namespace(host))
        client = self._start("client", "phone", self._detector.client)
        limit = self._detector.client.timeout

        def over() -> bool:
            return client.over or (server is not None and server.failed)

        in_time = self._world.run_until(over, max(0.0, client.began + limit - time.monotonic()))
        if server is not None and server.failed:
            raise ProgramError(f"{how_it_went(server)} before the client was done{server.last_words}")
        if not in_time:
            raise ProgramError(f"the client was still running after {limit:g} s{client.last_words}")
        if client.flooding:
            raise ProgramError(how_it_went(client))
        client.drain()
        if client.flooding:
            raise ProgramError(how_it_went(client))
        assert client.status is not None
        silent = ports.packets_sent(self._world.namespace(host)) == before
        if silent and self._detector.verdict.exit is not None:
            # Typical of an interpreter without its file, and of a program that does not know an option.
            raise ProgramError(f"{how_it_went(client)} and had sent no packet{client.last_words}")
        return verdicts.read(
            self._detector.verdict, verdicts.Ended(client.status, client.stdout, client.stderr)
        )

    def _start(self, name: str, role: str, program: ProgramConfig) -> Process:
        field = f"detector '{self._detector.id}': field {name}"
        host, spec = placeholders.host_of(program, role, self._topology, f"{field}.host")
        values = {**self._values, "host": host, "own_ip": spec.address}
        if program.image is not None:
            values = placeholders.without_folders(values)
        command, environment = placeholders.filled(program, values, field)
        environment = {
            **placeholders.variables(self._topology, host, self._model),
            **({} if program.image else {"SIPLAB_FOLDER": str(self._folder)}),
            **environment,
        }
        confinement = Confinement(
            (str(self._folder), *placeholders.paths(program, values, field)),
            program.capabilities,
            tuple(dict.fromkeys((self._values["here"], str(Path.cwd())))),
        )
        try:
            process = Process(
                self._world, name, host, command, environment, program.image, confinement=confinement
            )
        except UsageError as error:
            if program.image is None and not self._world.can_start(host):
                raise WorldError(f"host '{host}' can't start any program: {error}") from None
            raise ProgramError(f"the {name} could not be started: {error}") from None
        self._started.append(process)
        if program.ready is not None:
            await_ready(self._world, process, program.ready)
        return process


def await_ready(world: LiveWorld, process: Process, ready: Ready, *, daemon: bool = False) -> None:
    """Serve the lab until a program is ready. Raises ``ProgramError`` if it does not get ready.

    ``daemon``: its first process may end with status 0.
    """
    namespace = world.namespace(process.host)
    protocol, _, port = (ready.port or "").partition("/")

    def is_ready() -> bool:
        if ready.log is not None:
            return process.printed(ready.log)
        return ports.is_bound(namespace, protocol, int(port))

    def is_over() -> bool:
        return process.failed if daemon else process.over

    world.run_until(lambda: is_ready() or is_over(), ready.timeout, every=_LOOK)
    process.drain()
    if is_ready() and not process.failed:
        return
    if is_over():
        raise ProgramError(f"{how_it_went(process)} before it was ready{process.last_words}")
    wanted = f"'{ready.log}' in its output" if ready.log else f"{ready.port} bound on {process.host}"
    raise ProgramError(
        f"the {process.name} was not ready within {ready.timeout:g} s: no {wanted}{process.last_words}"
    )


def how_it_went(process: Process) -> str:
    """How a program ended, as the beginning of a sentence."""
    if process.flooding:
        return f"the {process.name} printed more than {Process.LIMIT >> 20} MiB"
    assert process.status is not None
    if process.status < 0:
        return f"the {process.name} was {verdicts.how_it_ended(process.status)}"
    return f"the {process.name} ended with exit status {process.status}"
