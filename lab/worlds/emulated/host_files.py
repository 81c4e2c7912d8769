"""The files that tell programs on a host about their environment.

Each host has a /run of its own, so that two daemons of one kind keep their sockets and process ids apart. Its
/etc/hosts has every host of the topology. Its /etc/resolv.conf names a server that does not exist, so that a
look-up of any other name fails at once. ``SHARED`` is one folder on all hosts: trials write their files
there.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from siplab.lab.errors import CapabilityError
from siplab.lab.worlds.emulated import namespaces as ns
from siplab.lab.worlds.topology import DOMAIN, HostSpec, RouterSpec, Topology

SHARED: Final = Path("/run/siplab")
_OWN: Final = "/run/siplab-host"  # holds the files that are mounted over those in /etc
# The loopback address refuses at once if nobody listens. With an empty file it is the default, too.
_RESOLV: Final = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"
_FAILED: Final = 1


def names_of(topology: Topology, own: str = "") -> str:
    """``/etc/hosts`` for a topology: each host alone and in the domain; the domain is the server's name.

    ``own``: the host or router that the file is for. This machine's name stands for its address, because
    programs look that name up, too.
    """
    lines = ["127.0.0.1 localhost", "::1 localhost"]
    for name, host in topology.hosts.items():
        more = f" {DOMAIN}" if host.role == "server" else ""
        lines += [f"{address} {name}.{DOMAIN} {name}{more}" for address in host.all_interfaces.values()]
    nodes: dict[str, HostSpec | RouterSpec] = {**topology.hosts, **topology.routers}
    if own in nodes:
        lines.append(f"{next(iter(nodes[own].all_interfaces.values()))} {socket.gethostname()}")
    return "\n".join(lines) + "\n"


def furnish(hosts: Mapping[int, str]) -> None:
    """Mount the files into the mount namespaces of processes, given by their ids. Raises ``CapabilityError``.

    The values are the texts of ``/etc/hosts``. Must be called in a bubble; the bubble's own files stay
    unchanged.
    """
    SHARED.mkdir(exist_ok=True)
    read, write = os.pipe2(os.O_CLOEXEC)
    child = os.fork()  # a process that enters a mount namespace can't come back
    if child == 0:
        try:
            for pid, text in hosts.items():
                _furnish(pid, text)
        except OSError as error:
            os.write(write, str(error).encode())
            os._exit(_FAILED)
        except BaseException:
            os._exit(_FAILED)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        complaint = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    if status:
        raise CapabilityError(f"the files of a host can't be laid out: {complaint or f'status {status}'}")


def _furnish(pid: int, hosts: str) -> None:
    # /proc is the bubble's in each of its mount namespaces.
    mounts = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    ns.enter(mounts, ns.NEWNS)
    os.close(mounts)
    shared = os.open(SHARED, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    ns.mount("tmpfs", "/run", "tmpfs", ns.MS_NOSUID | ns.MS_NODEV)
    SHARED.mkdir()
    ns.mount(f"/proc/self/fd/{shared}", str(SHARED), "none", ns.MS_BIND)
    os.close(shared)
    Path("/run/lock").mkdir()
    Path(_OWN).mkdir()
    for target, text in (("/etc/hosts", hosts), ("/etc/resolv.conf", _RESOLV)):
        _lay(Path(target), text)


def _lay(target: Path, text: str) -> None:
    real = Path(os.path.realpath(target))
    if real.is_relative_to("/run"):  # some systems keep the file there; the host's /run is its own already
        real.parent.mkdir(parents=True, exist_ok=True)
        real.write_text(text, encoding="ascii")
        return
    source = Path(_OWN, target.name)
    source.write_text(text, encoding="ascii")
    with suppress(FileNotFoundError):  # on a machine without such a file nobody reads it
        ns.mount(str(source), str(real), "none", ns.MS_BIND)
