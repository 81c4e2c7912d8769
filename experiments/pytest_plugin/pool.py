"""Bubbles that stay up between tests: a lab in one that is there takes a fraction of the time."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import Any, Final

from siplab.experiments.programs.running import ProgramError
from siplab.lab.errors import CapabilityError, UsageError
from siplab.lab.worlds.base import WorldError
from siplab.lab.worlds.emulated import containers

_TASK: Final = "siplab.experiments.pytest_plugin.inside:task"
# What is a user's to fix or to judge: shown without what happened inside the bubble.
# Seconds in which a process that let go of its channel has come to its end.
_DYING: Final = 2.0
_PLAIN: Final = (CapabilityError, UsageError, ProgramError, WorldError)


class Line:
    """The way to a bubble. One request at a time; threads take turns. ``contains``: it may run containers."""

    def __init__(self, *, contains: bool = False) -> None:
        self.contains = contains
        self._open = ExitStack()
        self._bubble = self._open.enter_context(containers.bubble(_TASK, needed=contains))
        self._turn = threading.Lock()
        self.broken = False

    def call(self, what: str, *arguments: Any) -> Any:
        """Have something done inside. Raises what it raised there, ``WorldError`` when the bubble is gone."""
        __tracebackhide__ = True
        with self._turn:
            if self.broken:
                raise WorldError("the lab is gone: a request to it was broken off")
            self.broken = True  # whatever comes between, Ctrl-C too, the next answer would be the wrong one
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
    """Those that no lab is in at the moment."""

    def __init__(self) -> None:
        self._idle: list[Line] = []

    def take(self, *, contains: bool = False) -> Line:
        """A bubble of one's own. Raises ``CapabilityError`` where there can be none."""
        found = next((each for each in self._idle if each.contains == contains), None)
        if found is None:
            return Line(contains=contains)
        self._idle.remove(found)
        return found

    def give_back(self, line: Line) -> None:
        """Done with it; nothing of a lab is left in there."""
        if line.broken:
            line.close()
        else:
            self._idle.append(line)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()
