"""When a process that runs trials must be ended: it takes too long, does nothing at all, or was stopped.

What counts is CPU time, so that a busy machine ends nobody's trial. Where the system does not tell it (no
``/proc``), time on the wall counts in its place.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final, NamedTuple

# Seconds of CPU that a trial may take unless somebody says otherwise.
TRIAL_TIMEOUT: Final = 60.0
# What a process gets for importing what it needs.
STARTING: Final = 60.0
# Real seconds between two looks at a process.
LOOK: Final = 0.5
_RUNNABLE: Final = "R"
_STOPPED: Final = ("T", "t")  # states of proc_pid_stat(5): by a signal, by a debugger


class Used(NamedTuple):
    """What a process has used: CPU time of all its threads in seconds, and the state that it is in."""

    seconds: float
    state: str


def used(pid: int) -> Used | None:
    """``None`` where that is not told, or where there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *columns = text.rpartition(")")[2].split()
    return Used((int(columns[10]) + int(columns[11])) / os.sysconf("SC_CLK_TCK"), state)


class Watchdog:
    """Looks at one process, trial after trial. ``limit``: seconds of CPU for each."""

    def __init__(self, pid: int, limit: float) -> None:
        self._pid = pid
        self._limit = limit
        self.begin(0.0)

    def begin(self, waits: float, *, starting: bool = False) -> None:
        """A trial begins, in which the process may wait ``waits`` seconds for others beside its limit.

        ``starting``: the process does, and has ``STARTING`` seconds beside that.
        """
        extra = STARTING if starting else 0.0
        now = used(self._pid)
        self._began = self._last = now.seconds if now else 0.0
        self._moved = time.monotonic()
        self._most = self._limit + extra
        self._patience = self._limit + waits + extra

    def overdue(self) -> str:
        """Why the trial must be ended, or nothing."""
        now, limit = used(self._pid), f"{self._limit:g} s"
        if now is not None:
            if now.seconds - self._began > self._most:
                return f"it took more than {limit} of CPU (--trial-timeout)"
            # One that waits for a processor is not idle.
            if now.seconds != self._last or now.state == _RUNNABLE:
                self._last, self._moved = now.seconds, time.monotonic()
        still = time.monotonic() - self._moved
        if now is not None and now.state in _STOPPED and still > self._limit:
            return f"its process was stopped, and nobody let it go on for {limit}"
        if still > self._patience:
            return f"it did nothing for {self._patience:g} s (--trial-timeout)"
        return ""
