"""Keeps bubbles between tests: building a lab in an existing one takes a fraction of the time."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import Any, Final

from siplab.experiments.programs.running import ProgramError
from siplab.lab.errors import CapabilityError, UsageError
from siplab.lab.worlds.base import WorldError
from siplab.lab.worlds.emulated import containers

_TASK: Final = "siplab.experiments.pytest_plugin.inside:task"
# Seconds that a process gets to end after it closed its channel.
_DYING: Final = 2.0
# Errors that the user can fix or judge. They are shown without the traceback from the bubble.
_PLAIN: Final = (CapabilityError, UsageError, ProgramError, WorldError)


class Line:
    """The connection to a bubble. Threads take turns. ``contains``: the bubble may run containers."""

    def __init__(self, *, contains: bool = False) -> None:
        self.contains = contains
        self._open = ExitStack()
        self._bubble = self._open.enter_context(containers.bubble(_TASK, needed=contains))
        self._turn = threading.Lock()
        self.broken = False

    def call(self, what: str, *arguments: Any) -> Any:
        """Call something inside. Raises what was raised there, or ``WorldError`` if the bubble has ended."""
        __tracebackhide__ = True
        with self._turn:
            if self.broken:
                raise WorldError("the lab is gone: a request to it was broken off")
            self.broken = True  # if this is interrupted (Ctrl-C, too), the next answer would be the wrong one
            try:
                self._bubble.connection.send((what, *arguments))
                answer = self._bubble.connection.recv()
            except (EOFError, OSError):
                how = self._bubble.close(_DYING)
                raise WorldError(
                    f"the lab's process died ({how})" if how else "the lab's process died"
                ) from None
            self.broken = False
        if isinstance(answer, _PLAIN):
            raise type(answer)(str(answer))
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def close(self) -> None:
        self._open.close()


class Pool:
    """The bubbles that have no lab in them."""

    def __init__(self) -> None:
        self._idle: list[Line] = []

    def take(self, *, contains: bool = False) -> Line:
        """A bubble for exclusive use. Raises ``CapabilityError`` if none can be made."""
        found = next((each for each in self._idle if each.contains == contains), None)
        if found is None:
            return Line(contains=contains)
        self._idle.remove(found)
        return found

    def give_back(self, line: Line) -> None:
        """Return a bubble. Nothing of a lab is left in it."""
        if line.broken:
            line.close()
        else:
            self._idle.append(line)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()
