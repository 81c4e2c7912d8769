"""Programs in containers on a lab's hosts. Their network comes from outside, so any image will do.

The part outside of the bubble is ``siplab.lab.worlds.emulated.keeper``.
"""

from __future__ import annotations

import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from siplab.lab.errors import CapabilityError, UsageError
from siplab.lab.worlds.emulated.bubble import Bubble
from siplab.lab.worlds.emulated.fabric import Fabric
from siplab.lab.worlds.emulated.keeper import LARGEST
from siplab.lab.worlds.topology import DOMAIN, Topology

# The environment variable with the descriptor of the bubble's end of the socket pair.
VARIABLE: Final = "SIPLAB_KEEPER"
# Real seconds that an engine gets to remove the containers of a lab.
_PATIENCE: Final = 60.0


@contextmanager
def bubble(
    task: str, *, needed: bool, attached: bool = False, descriptors: Mapping[str, int] | None = None
) -> Iterator[Bubble]:
    """A bubble that can run containers if they are ``needed``; they are removed when the bubble ends.

    Raises ``CapabilityError``.
    """
    if not needed:
        with Bubble(task, attached=attached, descriptors=descriptors) as made:
            yield made
        return
    keeper = KeeperProcess()
    try:
        passed = {**(descriptors or {}), VARIABLE: keeper.channel.fileno()}
        with Bubble(task, attached=attached, descriptors=passed) as made:
            keeper.channel.close()  # only the bubble keeps it open: when the bubble ends, the containers end
            yield made
    finally:
        keeper.close()


class KeeperProcess:
    """A running keeper, seen from the process that makes bubbles. ``channel``: the bubble's end.

    Raises ``CapabilityError`` when containers can't be run here.
    """

    def __init__(self) -> None:
        if os.getuid() != 0:
            raise CapabilityError(
                "container images need root: their network is set up from outside; run as root, "
                "or run the program itself (command) in place of an image"
            )
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "siplab.lab.worlds.emulated.keeper", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            start_new_session=True,  # Ctrl-C is for the lab; the keeper cleans up after it
        )
        theirs.close()
        greeting = self.channel.recv(LARGEST).decode() or "the keeper of containers died"
        if greeting != "ready":
            self.close()
            raise CapabilityError(f"no containers here: {greeting}")

    def close(self) -> None:
        """Close the channel, and wait until the containers are gone."""
        self.channel.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE)


class ContainerProcess:
    """A program in a container, with the methods of ``subprocess.Popen`` that are needed."""

    def __init__(self, channel: Channel, container: str, end: int) -> None:
        self._channel = channel
        self._container = container
        self._end: int | None = end
        self._status: int | None = None

    def fileno(self) -> int:
        """A descriptor that becomes readable when the program ends."""
        assert self._end is not None
        return self._end

    def poll(self) -> int | None:
        """The exit status, or minus the number of the signal that ended it; ``None`` while it runs.

        An engine reports a signal as 128 plus its number, as a shell does.
        """
        if self._status is None and self._end is not None and select.select([self._end], [], [], 0)[0]:
            status = int(os.read(self._end, 16) or b"255")
            self._status = 128 - status if 128 < status < 128 + signal.NSIG else status
        return self._status

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its first process."""
        if self.poll() is None:
            with suppress(UsageError):  # it ended meanwhile
                self._ask("signal", signal=number.name)

    def health(self) -> str:
        """The status by the image's HEALTHCHECK: ``starting``, ``healthy``, ``unhealthy``; '' without one."""
        return str(self._ask("state").get("health", ""))

    def read(self, path: str) -> bytes:
        """A file or folder of the container, as a tar archive. Raises ``UsageError``."""
        with os.fdopen(os.memfd_create("archive"), "r+b") as archive:
            self._ask("read", [archive.fileno()], path=path)
            archive.seek(0)
            return archive.read()

    def write(self, folder: str, archive: bytes) -> None:
        """Unpack a tar archive in a folder of the container. Raises ``UsageError``."""
        with _held(archive) as descriptor:
            self._ask("write", [descriptor], path=folder)

    def remove(self) -> None:
        """Remove the container, with its files."""
        with suppress(UsageError):
            self._ask("release")

    def _ask(self, what: str, descriptors: Sequence[int] = (), **values: str) -> dict[str, Any]:
        reply, _ = self._channel.ask({"do": what, "container": self._container, **values}, descriptors)
        return reply

    def close(self) -> None:
        if self._end is not None:
            os.close(self._end)
            self._end = None


class Channel:
    """The bubble's end of the connection to the keeper. Raises ``UsageError`` when there is none."""

    def __init__(self) -> None:
        descriptor = os.environ.get(VARIABLE)
        if descriptor is None:
            raise UsageError("this lab was started without containers: siplab up --containers")
        self._socket = socket.socket(fileno=os.dup(int(descriptor)))

    def ask(
        self, request: dict[str, Any], descriptors: Sequence[int] = ()
    ) -> tuple[dict[str, Any], list[int]]:
        """Send a request and return the answer. Raises ``UsageError`` with the engine's complaint."""
        try:
            socket.send_fds(self._socket, [json.dumps(request).encode()], list(descriptors))
            data, received, _, _ = socket.recv_fds(self._socket, LARGEST, 8)
        except OSError as error:
            raise UsageError(f"the keeper of containers can't be reached: {error.strerror}") from None
        reply: dict[str, Any] = json.loads(data or b'{"error": "the keeper of containers died"}')
        if "error" in reply:
            raise UsageError(reply["error"])
        return reply, list(received)


class Containers:
    """The containers of one running network."""

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self._channel = Channel()
        self._held: dict[str, str] = {}  # host -> the container that holds its network namespace

    def hold(self, host: str) -> bool:
        """Have a container hold a host's network namespace; False if one does. Raises ``UsageError``."""
        if host in self._held:
            return False
        names = _names(self._fabric.network.topology)
        reply, (namespace,) = self._channel.ask({"do": "hold", "host": host, "names": names})
        self._held[host] = reply["container"]
        self._fabric.adopt(host, namespace)
        return True

    def start(
        self,
        host: str,
        image: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        capabilities: Sequence[str],
        stdout: int,
        stderr: int,
        files: Mapping[str, Path] | None = None,
        stays: bool = False,
    ) -> ContainerProcess:
        """Start a program on a host that is held. Raises ``UsageError`` when the engine refuses.

        ``files``: by their paths in the container. ``stays``: the container stays until ``remove``, so that
        it can be read after its end.
        """
        end_read, end_write = os.pipe2(os.O_CLOEXEC)
        request = {
            "do": "run",
            "host": self._held[host],
            "image": image,
            "command": list(command),
            "environment": dict(environment),
            "capabilities": list(capabilities),
            "stays": stays,
        }
        try:
            with _held(packed(files or {})) as archive:
                reply, _ = self._channel.ask(
                    request, [stdout, stderr, end_write, *([archive] if files else [])]
                )
        except BaseException:
            os.close(end_read)
            raise
        finally:
            os.close(end_write)
        return ContainerProcess(self._channel, reply["container"], end_read)

    def close(self) -> None:
        """Give the hosts' network namespaces back."""
        for container in self._held.values():
            with suppress(UsageError):
                self._channel.ask({"do": "release", "container": container})
        self._held.clear()


def _names(topology: Topology) -> dict[str, str]:
    """The names in a container's /etc/hosts: each host's, alone and in the domain, and the domain itself."""
    names: dict[str, str] = {}
    for name, host in topology.hosts.items():
        names |= {name: host.address, f"{name}.{DOMAIN}": host.address}
        if host.role == "server":
            names[DOMAIN] = host.address
    return names


def packed(files: Mapping[str, Path]) -> bytes:
    """Files of this machine as a tar archive, by their paths in it. Raises ``UsageError``."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for target, source in files.items():
            try:
                entry = archive.gettarinfo(str(source), arcname=target.lstrip("/"))
                entry.uid = entry.gid = 0
                entry.uname = entry.gname = ""
                with source.open("rb") as file:
                    archive.addfile(entry, file)
            except OSError as error:
                raise UsageError(f"{source}: can't be read: {error.strerror}") from None
    return data.getvalue()


@contextmanager
def _held(data: bytes) -> Iterator[int]:
    """A descriptor that has these bytes."""
    with os.fdopen(os.memfd_create("archive"), "r+b") as file:
        file.write(data)
        file.flush()
        yield file.fileno()
