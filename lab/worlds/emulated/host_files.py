"""The files by which programs on a host know where they are.

Each host has a /run of its own, so that two daemons of one kind keep their sockets and process ids apart;
/etc/hosts with every host of the topology; and a /etc/resolv.conf that leads to nobody, so that the look-up
of any other name fails at once. ``SHARED`` is one folder on all hosts: what a trial writes lies there.
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
_OWN: Final = "/run/siplab-host"  # what is laid over /etc
# The loopback address refuses at once where nobody listens; an empty file would mean the same address.
_RESOLV: Final = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"
_FAILED: Final = 1


def names_of(topology: Topology, own: str = "") -> str:
    """``/etc/hosts`` for a topology: each host and its name in the domain; the domain is the server's.

    ``own``: the host or router that it is for. Programs ask for the name of the machine, too: it stands for
    its address.
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
    """Lay the files into the mount namespaces of processes, by their ids. Raises ``CapabilityError``.

    The values are the texts of ``/etc/hosts``. Must be called in a bubble, whose own files stay as they are.
    """
    SHARED.mkdir(exist_ok=True)
    read, write = os.pipe2(os.O_CLOEXEC)
    child = os.fork()  # who enters a mount namespace does not find its own way back
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
    # /proc is the bubble's, in every mount namespace of it.
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
    if real.is_relative_to("/run"):  # where some systems keep it; that is the host's own already
        real.parent.mkdir(parents=True, exist_ok=True)
        real.write_text(text, encoding="ascii")
        return
    source = Path(_OWN, target.name)
    source.write_text(text, encoding="ascii")
    with suppress(FileNotFoundError):  # a machine without such a file has nobody who reads it
        ns.mount(str(source), str(real), "none", ns.MS_BIND)
