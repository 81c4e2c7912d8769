"""The processes of a bubble, and the end of those that a trial left behind.

A bubble has a process namespace of its own: a process that was not there when a trial began is the trial's.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from siplab.lab.worlds.base import WorldError

# Real seconds that the kernel gets to end a process; it takes less than a millisecond.
_PATIENCE: Final = 5.0


def present() -> frozenset[int]:
    """Ids of all processes of this process namespace."""
    return frozenset(int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal())


def is_stopped(pid: int) -> bool:
    """Whether a signal has stopped a process, which has not been continued (proc_pid_stat(5))."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] in "Tt"
    return False


def end_all_but(kept: frozenset[int]) -> int:
    """End every process of this bubble that is not in ``kept``; returns how many there were.

    Only process 1 of a bubble may call this: elsewhere the other processes are not the lab's. Raises
    ``WorldError`` when one of them can't be ended.
    """
    if os.getpid() != 1:
        raise WorldError("programs can be run in a bubble only")
    ended: set[int] = set()
    deadline = time.monotonic() + _PATIENCE
    while left := present() - kept:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in left:
            # Processes whose parent has ended are children of process 1.
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        ended |= left
        if time.monotonic() > deadline:
            raise WorldError(f"process {min(left)} can't be ended")
        time.sleep(0.0005)
    return len(ended)
