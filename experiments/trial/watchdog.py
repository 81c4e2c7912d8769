"""Decides when a process that runs trials must be ended: it takes too long, does nothing, or was stopped.

CPU time counts, so a trial is not ended because the machine is busy. If the system does not report CPU time
(no ``/proc``), wall-clock time counts instead.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final, NamedTuple

# Seconds of CPU that a trial may take, unless the user sets another limit.
TRIAL_TIMEOUT: Final = 60.0
# Further seconds for a process that still has to import modules.
STARTING: Final = 60.0
# Wall-clock seconds between two looks at a process.
LOOK: Final = 0.5
_RUNNABLE: Final = "R"
_STOPPED: Final = ("T", "t")  # states of proc_pid_stat(5): by a signal, by a debugger


class Used(NamedTuple):
    """What a process has used: CPU time of all its threads in seconds, and the process's state."""

    seconds: float
    state: str


def used(pid: int) -> Used | None:
    """What a process has used; ``None`` if the system does not report it, or the process does not exist."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *columns = text.rpartition(")")[2].split()
    return Used((int(columns[10]) + int(columns[11])) / os.sysconf("SC_CLK_TCK"), state)


class Watchdog:
    """Watches one process, trial after trial. ``limit``: seconds of CPU for each."""

    def __init__(self, pid: int, limit: float) -> None:
        self._pid = pid
        self._limit = limit
        self.begin(0.0)

    def begin(self, waits: float, *, starting: bool = False) -> None:
        """A trial begins. Besides its limit, the process may wait ``waits`` seconds for others.

        ``starting``: the process itself is starting, and gets ``STARTING`` seconds more.
        """
        extra = STARTING if starting else 0.0
        now = used(self._pid)
        self._began = self._last = now.seconds if now else 0.0
        self._moved = time.monotonic()
        self._most = self._limit + extra
        self._patience = self._limit + waits + extra

    def overdue(self) -> str:
        """Why the trial must be ended; empty if it need not be."""
        now, limit = used(self._pid), f"{self._limit:g} s"
        if now is not None:
            if now.seconds - self._began > self._most:
                return f"it took more than {limit} of CPU (--trial-timeout)"
            # A process that waits for a processor is not idle.
            if now.seconds != self._last or now.state == _RUNNABLE:
                self._last, self._moved = now.seconds, time.monotonic()
        still = time.monotonic() - self._moved
        if now is not None and now.state in _STOPPED and still > self._limit:
            return f"its process was stopped, and nobody let it go on for {limit}"
        if still > self._patience:
            return f"it did nothing for {self._patience:g} s (--trial-timeout)"
        return ""
