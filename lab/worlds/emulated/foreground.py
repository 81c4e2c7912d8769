"""A program in the foreground, while the lab is served. Ctrl-C is left to the program."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from siplab.lab.worlds.base import WorldError
from siplab.lab.worlds.emulated.containers import ContainerProcess
from siplab.lab.worlds.emulated.live import LiveWorld
from siplab.lab.worlds.emulated.mininet_shell import MininetShell

_LONG: Final = 3600.0
_LOOK: Final = 0.2
_PATIENCE: Final = 5.0  # seconds for a container to end after it is asked to


def interruptible(world: LiveWorld, start: Callable[[], subprocess.Popen[bytes] | MininetShell]) -> int:
    """Start a program in the foreground, and serve the lab while it runs. Ctrl-C is left to the program.

    Returns its status as a shell would: 128 + signal for a program that a signal ended.
    """
    with _interrupts():
        return _as_shells_say(world.wait(start()), "program")


def interruptible_container(world: LiveWorld, start: Callable[[], ContainerProcess]) -> int:
    """The same for a program in a container, which a terminal's Ctrl-C does not reach by itself."""
    with _interrupts() as asked:
        container = start()
        world.watch(container.fileno(), lambda: None)
        try:
            # A signal does not interrupt a wait for descriptors, hence ``every``.
            while not world.run_until(
                lambda: bool(asked) or container.poll() is not None, _LONG, every=_LOOK
            ):
                pass
            for number in (signal.SIGINT, signal.SIGKILL):
                container.signal(number)
                world.run_until(lambda: container.poll() is not None, _PATIENCE)
            return _as_shells_say(container.poll(), "container")
        finally:
            world.unwatch(container.fileno())
            container.close()


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Note every Ctrl-C. Installed before the program starts, because Ctrl-C may come at once.

    This is a handler and not ``SIG_IGN``, because the program would inherit ``SIG_IGN``.
    """
    asked: list[int] = []
    previous = signal.signal(signal.SIGINT, lambda number, frame: asked.append(number))
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, previous)


def _as_shells_say(status: int | None, what: str) -> int:
    if status is None:
        raise WorldError(f"the {what} does not end")
    return status if status >= 0 else 128 - status
