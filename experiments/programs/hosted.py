"""The containers that a topology has in place of hosts and gateways: starts, checks and ends them.

Gateways start first, then hosts in the order of the file, each when the one before is ready.
"""

from __future__ import annotations

import io
import shutil
import tarfile
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Final

from siplab.experiments.programs import placeholders
from siplab.experiments.programs.config import Ready
from siplab.experiments.programs.process import Process
from siplab.experiments.programs.running import ProgramError, await_ready, how_it_went
from siplab.experiments.trial.stage import PASSWORDS, Setup
from siplab.lab.errors import UsageError
from siplab.lab.worlds.base import WorldError
from siplab.lab.worlds.emulated.confinement import Confinement
from siplab.lab.worlds.emulated.live import LiveWorld
from siplab.lab.worlds.image_spec import ImageSpec
from siplab.lab.worlds.topology import DOMAIN

# What a gateway's image may do in its own network namespace, besides what engines allow every container.
_ROUTERS: Final = ("NET_ADMIN", "NET_RAW")
_LOOK: Final = 0.1  # seconds between two questions to the engine
_GRACE: Final = 1.0


class Hosted:
    """The containers of one trial, or of a running lab."""

    def __init__(self, world: LiveWorld, setup: Setup) -> None:
        self.images = world.network.topology.images
        self.processes: dict[str, Process] = {}
        self._world = world
        self._setup = setup

    def start(self, *, phones: bool = False) -> None:
        """Start those that are not running. Raises ``WorldError`` if one does not get ready, ``UsageError``.

        ``phones``: also those that take orders. Otherwise a scenario starts these when they should register.
        """
        for node, image in self.images.items():
            if node not in self.processes and (phones or not image.kind):
                self.start_one(node)

    def start_one(self, node: str) -> Process:
        """Start the container of a node. Raises ``WorldError`` if it does not get ready, ``UsageError``."""
        topology = self._world.network.topology
        gateway = topology.gateways.get(node)
        address = next(iter(gateway.outside.values())) if gateway else topology.hosts[node].address
        try:
            self._start(node, self.images[node], address, _ROUTERS if gateway else ())
        except (ProgramError, UsageError) as error:
            raise WorldError(f"the image on {node}: {error}") from None
        return self.processes[node]

    def _start(self, node: str, image: ImageSpec, address: str, capabilities: tuple[str, ...]) -> None:
        topology = self._world.network.topology
        values = {
            **placeholders.addresses(topology),
            **{f"password_{user}": password for user, password in PASSWORDS.items()},
            "domain": DOMAIN,
            "host": node,
            "own_ip": address,
            "port": str(self._setup.sip_port),
            "topology": topology.id,
        }
        field = f"topology '{topology.id}': field {node}.image"
        command = [placeholders.fill(word, values, f"{field}.command") for word in image.command]
        environment = {
            name: placeholders.fill(text, values, f"{field}.environment.{name}")
            for name, text in image.environment.items()
        }
        model = next(iter(self._setup.models.values()), "")
        process = self.processes[node] = Process(
            self._world,
            image.name,
            node,
            command,
            {**placeholders.variables(topology, node, model), "SIPLAB_DOMAIN": DOMAIN, **environment},
            image.name,
            confinement=Confinement(capabilities=capabilities),
            files={target: Path(source) for target, source in image.files.items()},
        )
        self._world.tap(node)
        if image.ready:
            await_ready(self._world, process, Ready(port=image.ready, timeout=image.timeout))
        else:
            self._await_health(process, image.timeout)

    def _await_health(self, process: Process, timeout: float) -> None:
        """Wait for the result of the image's HEALTHCHECK. A container without one is ready at once."""
        container = process.container
        assert container is not None
        health = ""

        def decided() -> bool:
            nonlocal health
            health = container.health()
            return health != "starting" or process.over

        in_time = self._world.run_until(decided, timeout, every=_LOOK)
        if health == "unhealthy":  # engines also say this of a container that has just ended
            self._world.run_until(lambda: process.over, _GRACE)
        if process.failed:
            raise ProgramError(f"{how_it_went(process)}{process.last_words}")
        if not in_time or health == "unhealthy":
            after = f"after {process.seconds:.0f} s"
            raise ProgramError(f"its HEALTHCHECK says '{health}' {after}{process.last_words}")

    @property
    def failure(self) -> str:
        """Which container failed, in one line. One that ended with exit status 0 has not failed."""
        return next((found for node in self.processes if (found := self.failure_of(node))), "")

    def failure_of(self, node: str) -> str:
        """How the container of a node failed, in one line; empty if it did not."""
        process = self.processes.get(node)
        if process is None or not process.failed:
            return ""
        return f"on {node}: {how_it_went(process)}{process.last_words}"

    def states(self) -> dict[str, str]:
        """For each node: its image, whether it runs, and its health."""
        return {node: f"{process.image}, {_state(process)}" for node, process in self.processes.items()}

    def printed(self, node: str) -> bytes:
        """What a container printed. Raises ``UsageError``."""
        process = self.of(node)
        process.drain()
        return process.stdout + process.stderr

    def of(self, node: str) -> Process:
        """The container of a node. Raises ``UsageError``."""
        if node not in self.processes:
            raise UsageError(f"no container on '{node}'; there are {', '.join(self.processes) or 'none'}")
        return self.processes[node]

    def end(self, folder: Path | None = None) -> None:
        """End them all. What they printed, and what the topology keeps, goes to ``folder``."""
        for node, process in reversed(self.processes.items()):
            process.end(_GRACE)
            if folder is not None:
                self._keep(node, process, folder / node)
            process.close()

    def _keep(self, node: str, process: Process, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        process.drain()
        (folder / "stdout").write_bytes(process.stdout)
        (folder / "stderr").write_bytes(process.stderr)
        assert process.container is not None
        for path in self.images[node].keep:
            with suppress(UsageError):  # the container never made it
                unpack(process.container.read(path), folder)


def _state(process: Process) -> str:
    if process.over:
        return how_it_went(process).partition(" ended ")[2] or "ended"
    health = process.container.health() if process.container is not None else ""
    return f"runs, {health}" if health else "runs"


def unpack(archive: bytes, folder: Path) -> None:
    """Write the files of a container's tar archive below a folder, and nothing outside of it.

    Links and devices are left out, since the archive is not trusted. Raises ``UsageError``.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
            for entry in opened:
                path = PurePosixPath(entry.name)
                content = opened.extractfile(entry) if entry.isfile() else None
                if content is None or path.is_absolute() or ".." in path.parts:
                    continue
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    shutil.copyfileobj(content, file)
    except (tarfile.TarError, OSError) as error:
        raise UsageError(f"files of the container can't be written to {folder}: {error}") from None
