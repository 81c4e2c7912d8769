"""Timers in virtual time.

One ``Timers`` serves a whole agent, its transactions included. Timers that are due at the same
moment run in the order in which they were started, so that a run can be repeated exactly.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any


class Timer:
    """One running timer; ``cancel`` stops it."""

    __slots__ = ("_argument", "_call", "due")

    def __init__(self, due: float, call: Callable[[Any, float], None], argument: Any) -> None:
        self.due = due
        self._call: Callable[[Any, float], None] | None = call
        self._argument = argument

    @property
    def running(self) -> bool:
        return self._call is not None

    def cancel(self) -> None:
        """Stop it. A timer that has fired or was cancelled stays as it is."""
        self._call = None
        self._argument = None

    def fire(self, now: float) -> None:
        """Make the call that was asked for, once."""
        call, argument = self._call, self._argument
        self.cancel()
        if call is not None:
            call(argument, now)


class Timers:
    """The running timers of one agent; all times in seconds."""

    __slots__ = ("_active", "_heap", "_started")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._active: list[tuple[float, int, Timer]] = []  # of these, all but the silent ones
        self._started = 0

    def start(
        self, due: float, call: Callable[[Any, float], None], argument: Any = None, *, silent: bool = False
    ) -> Timer:
        """Have ``call(argument, now)`` called at ``due``.

        ``silent``: it will send nothing, start no timer and change no media.
        """
        timer = Timer(due, call, argument)
        self._started += 1
        heapq.heappush(self._heap, (due, self._started, timer))
        if not silent:
            heapq.heappush(self._active, (due, self._started, timer))
        return timer

    def clear(self) -> None:
        """Forget all of them; none fires any more."""
        for _, _, timer in self._heap:
            timer.cancel()
        self._heap.clear()
        self._active.clear()

    def next(self) -> float | None:
        """When the next timer is due; ``None`` when none runs."""
        return _first(self._heap)

    def next_active(self) -> float | None:
        """As ``next``, without the silent ones."""
        return _first(self._active)

    def run(self, now: float) -> None:
        """Fire everything due at ``now`` or before."""
        while (due := self.next()) is not None and due <= now:
            heapq.heappop(self._heap)[2].fire(now)


def _first(heap: list[tuple[float, int, Timer]]) -> float | None:
    while heap and not heap[0][2].running:
        heapq.heappop(heap)
    return heap[0][0] if heap else None
