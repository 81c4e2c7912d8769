"""The keeper of a lab's containers: a process outside of the bubble, where the engine can be reached.

A bubble sees neither the engine's socket nor the engine's process ids. So the keeper talks to the engine for
it, over a socket pair whose other end only the bubble has:

    bubble ──(JSON and descriptors)── keeper ──(Docker's API)── engine

When the bubble ends, of SIGKILL too, the keeper reads the end of the stream, removes every container of the
lab and ends. If the keeper itself is killed, the next keeper removes the containers that it left.

For the engine, a lab's host is a container of an image that this file makes, whose only program waits for
ever. This container holds the network namespace, so the network exists before the first program runs, and
stays from one trial to the next. Programs run in containers that join it.
"""

from __future__ import annotations

import io
import json
import os
import platform
import signal
import socket
import struct
import sys
import tarfile
import threading
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

LABEL: Final = "siplab.lab"  # its value names the lab
_KEEPER: Final = "siplab.keeper"
_WAITER_IMAGE: Final = "siplab-waiter:1"
LARGEST: Final = 1 << 18  # bytes of a request
MOST_READ: Final = 256 << 20  # the most bytes that are read from a container at once

# Machine code: pause(2) for ever on x86_64; ppoll(2) without descriptors on aarch64.
_WAIT_FOR_EVER: Final = {
    "x86_64": (62, bytes.fromhex("b8220000000f05ebf7")),
    "aarch64": (
        183,
        bytes.fromhex("000080d2010080d2020080d2030080d2040080d2280980d2010000d4f9ffff17"),
    ),
}


def waiter(machine: str) -> bytes:
    """An executable that does nothing until it is killed. Raises ``KeyError`` for an unknown machine."""
    number, code = _WAIT_FOR_EVER[machine]
    base, size = 0x400000, 64 + 56 + len(code)
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 2, number, 1, base + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x10000)
    return header + segment + code


def _archive(machine: str) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        entry = tarfile.TarInfo("wait")
        content = waiter(machine)
        entry.size, entry.mode = len(content), 0o755
        archive.addfile(entry, io.BytesIO(content))
    return data.getvalue()


def _identity(pid: int) -> str:
    """A process's id and start time (proc_pid_stat(5)), since ids are reused; '' for a dead one."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    state, *rest = text.rpartition(")")[2].split()
    return "" if state in ("Z", "X") else f"{pid}-{rest[18]}"


class Keeper:
    """Answers a bubble's requests. ``client``: a client of the Docker SDK."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._lab = uuid.uuid4().hex[:12]
        self._labels = {LABEL: self._lab, _KEEPER: _identity(os.getpid())}
        self._running: dict[str, Any] = {}
        self._remove_orphans()

    def answer(self, request: dict[str, Any], descriptors: list[int]) -> tuple[dict[str, Any], list[int]]:
        """Do what a request asks; returns the reply and the descriptors that go with it."""
        kind = request["do"]
        if kind == "hold":
            return self._hold(request["host"], request["names"])
        if kind == "run":
            return self._run(request, descriptors), []
        container = self._running[request["container"]]
        if kind == "signal":
            container.kill(signal=request["signal"])
        elif kind == "state":
            return self._state(container), []
        elif kind == "read":
            _read(container, request["path"], descriptors[0])
        elif kind == "write":
            _put(container, request["path"], descriptors[0])
        elif kind == "release":
            container.remove(force=True)
            del self._running[container.id]
        return {}, []

    def remove_all(self) -> None:
        """Remove every container of the lab."""
        for container in self._all(f"{LABEL}={self._lab}"):
            with suppress(Exception):  # it may be on its way out already
                container.remove(force=True)

    def _all(self, label: str) -> list[Any]:
        # Meanwhile containers, also those of other labs, may appear and disappear.
        found = self._client.containers.list(all=True, filters={"label": label}, ignore_removed=True)
        return list(found)

    def _remove_orphans(self) -> None:
        for container in self._all(LABEL):
            identity = container.labels.get(_KEEPER, "")
            pid = identity.partition("-")[0]
            if pid.isdecimal() and _identity(int(pid)) != identity:
                with suppress(Exception):
                    container.remove(force=True)

    def _hold(self, host: str, names: dict[str, str]) -> tuple[dict[str, Any], list[int]]:
        import docker

        try:
            self._client.images.get(_WAITER_IMAGE)
        except docker.errors.ImageNotFound:
            name, _, tag = _WAITER_IMAGE.partition(":")
            archive = _archive(platform.machine())
            self._client.api.import_image_from_data(archive, repository=name, tag=tag)
        container = self._client.containers.create(
            _WAITER_IMAGE,
            ["/wait"],
            network_mode="none",
            hostname=host,
            extra_hosts=names,
            dns=["127.0.0.1"],  # this address refuses at once
            dns_opt=["timeout:1", "attempts:1"],
            labels=self._labels,
            name=f"siplab-{uuid.uuid4().hex[:12]}",
        )
        self._running[container.id] = container
        container.start()
        container.reload()
        namespace = os.open(f"/proc/{container.attrs['State']['Pid']}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        return {"container": container.id}, [namespace]

    def _run(self, request: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
        container = self._client.containers.create(
            request["image"],
            request["command"] or None,
            environment=request["environment"],
            cap_add=request["capabilities"],
            network_mode=f"container:{request['host']}",
            labels=self._labels,
            name=f"siplab-{uuid.uuid4().hex[:12]}",
        )
        out, err, end, *files = descriptors
        try:
            for archive in files:
                _put(container, "/", archive)
            # Attach before the start, so that neither its first bytes nor its end are missed.
            stream = container.attach(stdout=True, stderr=True, stream=True, demux=True)
            container.start()
        except BaseException:
            container.remove(force=True)
            raise
        self._running[container.id] = container
        copies = [os.dup(each) for each in (out, err, end)]
        follow = threading.Thread(
            target=self._follow, args=(container, stream, copies, request["stays"]), daemon=True
        )
        follow.start()
        return {"container": container.id}

    @staticmethod
    def _state(container: Any) -> dict[str, Any]:
        container.reload()
        state = container.attrs["State"]
        return {"status": state["Status"], "health": (state.get("Health") or {}).get("Status", "")}

    def _follow(self, container: Any, stream: Any, descriptors: list[int], stays: bool) -> None:
        """Pass on what a container prints, then its exit status; then remove it, unless it ``stays``."""
        out, err, end = descriptors
        status = 255
        try:
            for pieces in stream:
                for descriptor, piece in zip((out, err), pieces, strict=True):
                    with suppress(OSError):  # nobody reads it any more
                        _write(descriptor, piece or b"")
            status = int(container.wait()["StatusCode"])
        finally:
            os.close(out)
            os.close(err)
            with suppress(OSError):
                os.write(end, b"%d" % status)
            os.close(end)
            if not stays:
                with suppress(Exception):  # at the lab's end all containers are removed anyway
                    container.remove(force=True)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _put(container: Any, place: str, archive: int) -> None:
    """Unpack a descriptor's tar archive in a folder of a container."""
    os.lseek(archive, 0, os.SEEK_SET)
    with os.fdopen(os.dup(archive), "rb") as stream:
        container.put_archive(place, stream)


def _read(container: Any, path: str, descriptor: int) -> None:
    """Write a file or folder of a container to a descriptor, as a tar archive. Raises ``ValueError``."""
    pieces, _ = container.get_archive(path)
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > MOST_READ:
            raise ValueError(f"{path} has more than {MOST_READ >> 20} MiB")
        _write(descriptor, piece)


def _explained(error: Exception) -> str:
    """An error of the engine in one line, if possible with the fix."""
    text = str(getattr(error, "explanation", "") or error)
    if type(error).__name__ == "ImageNotFound":
        text += "; 'docker pull' or 'docker build' it first: the lab does not"
    return " ".join(text.split())


def main() -> None:
    """Entry of the process: ``python -m siplab.lab.worlds.emulated.keeper DESCRIPTOR``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = socket.socket(fileno=int(sys.argv[1]))
    try:
        import docker

        client = docker.from_env()
        client.ping()
        keeper = Keeper(client)
    except ImportError:
        channel.send(b"the Python package 'docker' is missing: pip install 'siplab[docker]'")
        return
    except Exception as error:
        channel.send(
            f"no container engine answers ({_explained(error)}): start it, or set DOCKER_HOST".encode()
        )
        return
    channel.send(b"ready")
    try:
        while True:
            data, descriptors, _, _ = socket.recv_fds(channel, LARGEST, 8)
            if not data:
                return
            given: list[int] = []
            try:
                reply, given = keeper.answer(json.loads(data), descriptors)
            except Exception as error:
                reply = {"error": _explained(error)}
            socket.send_fds(channel, [json.dumps(reply).encode()], given)
            for each in (*descriptors, *given):
                os.close(each)
    except OSError:
        return
    finally:
        keeper.remove_all()


if __name__ == "__main__":
    main()
