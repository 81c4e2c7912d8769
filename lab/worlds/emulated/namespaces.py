"""Linux namespaces from Python: unshare, setns, mount, and dying with the parent.

Python has ``os.setns`` and ``os.unshare`` only from 3.12 on, and ``mount`` and ``prctl`` not at
all, hence ctypes. All functions raise ``OSError`` with the kernel's reason.
"""

from __future__ import annotations

import ctypes
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
MS_BIND: Final = 4096
MS_REC: Final = 16384
MS_PRIVATE: Final = 1 << 18

_PR_SET_PDEATHSIG: Final = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave the namespaces named by ``flags`` for new ones (unshare(2))."""
    _check(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str, flags: int = 0) -> None:
    """mount(2)."""
    result = _libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), None)
    _check(result, f"mount {kind} on {target}")


def die_with_parent(parent: int) -> None:
    """Ask the kernel to SIGKILL this process when its parent ends; exits now if it already has.

    Must come after ``unshare(NEWUSER)``: a change of credentials forgets the request.
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
    """Move this process for good into the namespace of an open descriptor (setns(2))."""
    _check(_libc.setns(namespace, kind), "setns")


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
