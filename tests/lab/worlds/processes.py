"""Looking at processes and namespaces through /proc, by number and start time, never by name."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

# Seconds after which a wait fails instead of hanging.
PATIENCE: Final = 30.0


class Process(NamedTuple):
    """One process of this machine. Its start time distinguishes it from a later one with the same number."""

    pid: int
    started: int


def _stat(pid: int) -> list[str]:
    """The columns of /proc/PID/stat from the state on (proc_pid_stat(5), column 3)."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def find(pid: int) -> Process:
    """The process with this number. Raises ``OSError`` if there is none."""
    return Process(pid, int(_stat(pid)[19]))


def alive(process: Process) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        columns = _stat(process.pid)
    except OSError:
        return False
    return int(columns[19]) == process.started and columns[0] not in "ZX"


def everybody() -> list[int]:
    return [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]


def children(pid: int) -> list[Process]:
    found: list[Process] = []
    for each in everybody():
        try:
            if int(_stat(each)[1]) == pid:
                found.append(find(each))
        except OSError:
            pass  # the process ended meanwhile
    return found


def descendants(pid: int) -> list[Process]:
    """All processes below one, nearest first."""
    found: list[Process] = []
    todo = [pid]
    while todo:
        below = children(todo.pop(0))
        found += below
        todo += [each.pid for each in below]
    return found


def marked(marker: str) -> list[Process]:
    """Processes that have ``marker`` in their command line or environment."""
    found: list[Process] = []
    for pid in everybody():
        for part in ("environ", "cmdline"):
            try:
                if marker.encode() in Path(f"/proc/{pid}/{part}").read_bytes():
                    process = find(pid)
                    if alive(process):
                        found.append(process)
                    break
            except OSError:
                pass  # ended, or another user's
    return found


def namespaces(processes: list[Process]) -> set[str]:
    """The network namespaces of processes, as ``net:[4026531840]``."""
    found: set[str] = set()
    for each in processes:
        with suppress(OSError):  # the process ended, or belongs to another user
            found.add(str(Path(f"/proc/{each.pid}/ns/net").readlink()))
    return found


def all_namespaces() -> set[str]:
    """The network namespaces that any process of this machine is in or holds open."""
    found: set[str] = set()
    for pid in everybody():
        with suppress(OSError):
            found.add(str(Path(f"/proc/{pid}/ns/net").readlink()))
            for each in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):  # closed meanwhile
                    found.add(str(each.readlink()))
    return {each for each in found if each.startswith("net:")}


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition. Raises ``AssertionError`` if it is not true after a long time."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {what}"
        time.sleep(0.005)
