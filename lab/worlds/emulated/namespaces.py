"""Linux namespaces from Python: unshare, setns, mount, and dying with the parent.

Python has ``os.setns`` and ``os.unshare`` only since 3.12, and has no ``mount`` and ``prctl``, hence ctypes.
All functions raise ``OSError`` with the kernel's reason.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

NEWNS: Final = 0x00020000
NEWUSER: Final = 0x10000000
NEWPID: Final = 0x20000000
NEWNET: Final = 0x40000000

MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_REMOUNT: Final = 32
MS_BIND: Final = 4096
MS_REC: Final = 16384
MS_PRIVATE: Final = 1 << 18

_PR_SET_PDEATHSIG: Final = 1
_PR_CAPBSET_DROP: Final = 24
_CAPABILITY_VERSION: Final = 0x20080522  # _LINUX_CAPABILITY_VERSION_3
_MOUNT_SETATTR: Final = 442  # the number of the system call, on every machine
_AT_RECURSIVE: Final = 0x8000
_RDONLY: Final = 1  # MS_RDONLY, MOUNT_ATTR_RDONLY

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave the namespaces named by ``flags`` for new ones (unshare(2))."""
    _check(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str, flags: int = 0, options: str = "") -> None:
    """mount(2)."""
    data = options.encode() or None
    result = _libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data)
    _check(result, f"mount {kind} on {target}")


def set_read_only(path: str, on: bool) -> None:
    """Allow or forbid writing to what is mounted at a path and below (mount_setattr(2))."""
    attributes = (ctypes.c_uint64 * 4)(*((_RDONLY, 0) if on else (0, _RDONLY)))
    result = _libc.syscall(
        _MOUNT_SETATTR, -1, path.encode(), _AT_RECURSIVE, ctypes.byref(attributes), ctypes.sizeof(attributes)
    )
    if result != 0 and ctypes.get_errno() == errno.ENOSYS:  # before Linux 5.12: this mount alone
        mount("none", path, "none", MS_REMOUNT | MS_BIND | (_RDONLY if on else 0))
        return
    _check(result, f"mount_setattr {path}")


def keep_capabilities(numbers: set[int]) -> None:
    """Give up all capabilities but these, permanently (capabilities(7))."""
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for each in range(last + 1):
        if each not in numbers:
            _check(_libc.prctl(_PR_CAPBSET_DROP, each, 0, 0, 0), "prctl")
    mask = sum(1 << each for each in numbers if each <= last)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    data = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)  # effective, permitted, inheritable
    _check(_libc.capset(ctypes.byref(header), ctypes.byref(data)), "capset")


def die_with_parent(parent: int) -> None:
    """Ask the kernel to SIGKILL this process when its parent ends; exits now if it has ended already.

    Must come after ``unshare(NEWUSER)``: a change of credentials cancels the request.
    """
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
    if parent and os.getppid() != parent:
        os._exit(1)


def become_root_inside(uid: int, gid: int) -> None:
    """In a fresh user namespace: map the outer user to root (user_namespaces(7))."""
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def enter(namespace: int, kind: int) -> None:
    """Move this process permanently into the namespace of an open descriptor (setns(2))."""
    _check(_libc.setns(namespace, kind), "setns")


def new_network() -> int:
    """A descriptor of a new network namespace, which lives as long as somebody holds a descriptor."""
    here = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        unshare(NEWNET)
        try:
            return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            enter(here, NEWNET)
    finally:
        os.close(here)


@contextmanager
def inside(namespace: int) -> Iterator[None]:
    """Run the block in the network namespace of an open descriptor, then come back.

    Namespaces belong to threads: nothing in the block may start one.
    """
    here = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(namespace, NEWNET), "setns")
        try:
            yield
        finally:
            _check(_libc.setns(here, NEWNET), "setns")
    finally:
        os.close(here)
