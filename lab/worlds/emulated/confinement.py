"""What a program on a host may do: next to nothing but use the network.

A program sees this machine's file system, but can write only to the places that it was given. Its /tmp is a
copy of its own; /run, /var/run and /dev/shm are its own, and empty. Of root's capabilities (capabilities(7))
it keeps those of ``GRANTED`` and those that it was given. ``GRANTED`` has none that changes the network.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from siplab.lab.worlds.emulated import namespaces as ns

# Capabilities by their numbers in include/uapi/linux/capability.h.
CAPABILITIES: Final = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
)  # fmt: skip
ALL: Final = "ALL"
GRANTED: Final = ("NET_RAW", "NET_BIND_SERVICE")

_EMPTY: Final = (("/run", "mode=755"), ("/var/run", "mode=755"), ("/dev/shm", "mode=1777"))  # noqa: S108
_TMP: Final = "/tmp"  # noqa: S108
_UPPER: Final = "/run/upper"
_WORK: Final = "/run/work"


@dataclass(frozen=True)
class Confinement:
    """What one program may do.

    ``writable``: existing files and folders that it may write to. ``capabilities``: in addition to
    ``GRANTED``. ``visible``: folders that it must see, even those below its own /tmp or /run.
    """

    writable: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    visible: tuple[str, ...] = ()

    @property
    def changes_network(self) -> bool:
        """Whether it may change what belongs to its host's network."""
        return not {ALL, "NET_ADMIN", "SYS_ADMIN"}.isdisjoint(self.capabilities)

    def enter(self) -> None:
        """Confine this process, which is about to become the program. Raises ``OSError``."""
        ns.unshare(ns.NEWNS)
        ns.mount("none", "/", "none", ns.MS_REC | ns.MS_PRIVATE)
        given = [(each, os.open(each, os.O_PATH), True) for each in self.writable]
        given += [(each, os.open(each, os.O_PATH), False) for each in self.visible if Path(each).is_dir()]
        ns.set_read_only("/", True)
        if self.changes_network:
            ns.set_read_only("/proc", False)  # settings of the network are files there
        self._own_places()
        for path, descriptor, writable in given:
            if writable or not Path(path).exists():
                _bind(descriptor, path)
                ns.set_read_only(path, not writable)
            os.close(descriptor)
        if ALL not in self.capabilities:
            ns.keep_capabilities({CAPABILITIES.index(each) for each in (*GRANTED, *self.capabilities)})

    def _own_places(self) -> None:
        ns.mount("tmpfs", "/run", "tmpfs", ns.MS_NOSUID | ns.MS_NODEV)
        os.mkdir(_UPPER)  # noqa: PTH102 - between fork and exec: as little as can be
        os.chmod(_UPPER, 0o1777)  # noqa: PTH101, S103
        os.mkdir(_WORK)  # noqa: PTH102
        layers = f"lowerdir={_TMP},upperdir={_UPPER},workdir={_WORK}"
        flags = ns.MS_NOSUID | ns.MS_NODEV
        try:
            try:
                ns.mount("overlay", _TMP, "overlay", flags, f"{layers},userxattr")
            except OSError:  # ``userxattr`` works in user namespaces only
                ns.mount("overlay", _TMP, "overlay", flags, layers)
        except OSError:  # a kernel without overlays: the contents of /tmp are hidden
            ns.mount("tmpfs", _TMP, "tmpfs", flags, "mode=1777")
        for path, mode in _EMPTY:
            if Path(path).is_dir() and not Path(path).is_symlink():
                ns.mount("tmpfs", path, "tmpfs", flags, mode)


def _bind(descriptor: int, path: str) -> None:
    """Mount what a descriptor stands for at a path that may not exist any more."""
    source = f"/proc/self/fd/{descriptor}"
    if not Path(path).exists():
        if Path(source).is_dir():
            os.makedirs(path)  # noqa: PTH103
        else:
            with suppress(FileExistsError):
                os.makedirs(os.path.dirname(path))  # noqa: PTH103, PTH120
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    ns.mount(source, path, "none", ns.MS_BIND | ns.MS_REC)


def unknown(names: tuple[str, ...]) -> str:
    """The first name that is no capability; '' if all are."""
    return next((each for each in names if each != ALL and each not in CAPABILITIES), "")


__all__ = ["ALL", "CAPABILITIES", "GRANTED", "Confinement", "unknown"]
