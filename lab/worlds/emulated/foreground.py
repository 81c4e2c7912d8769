"""A program in the foreground of a lab, which is served meanwhile; Ctrl-C is the program's affair."""

from __future__ import annotations

import signal
import subprocess
from typing import Final

from siplab.lab.worlds.base import WorldError
from siplab.lab.worlds.emulated.containers import ContainerProcess
from siplab.lab.worlds.emulated.live import LiveWorld
from siplab.lab.worlds.emulated.mininet_shell import MininetShell

_LONG: Final = 3600.0
_LOOK: Final = 0.2
_PATIENCE: Final = 5.0  # seconds in which a container ends that is asked to


def interruptible(world: LiveWorld, process: subprocess.Popen[bytes] | MininetShell) -> int:
    """Serve the lab while a program in the foreground runs; Ctrl-C is the program's affair.

    Returns the status as a shell would: 128 + signal for a program that a signal ended.
    """
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        status = world.wait(process)
    finally:
        signal.signal(signal.SIGINT, previous)
    if status is None:
        raise WorldError("the program has no exit status")
    return status if status >= 0 else 128 - status


def interruptible_container(world: LiveWorld, container: ContainerProcess) -> int:
    """The same for a program in a container, which a terminal's Ctrl-C does not reach by itself."""
    asked: list[int] = []
    previous = signal.signal(signal.SIGINT, lambda number, frame: asked.append(number))
    world.watch(container.fileno(), lambda: None)
    try:
        # A signal does not end a wait for descriptors.
        while not world.run_until(lambda: bool(asked) or container.poll() is not None, _LONG, every=_LOOK):
            pass
        for number in (signal.SIGINT, signal.SIGKILL):
            container.signal(number)
            world.run_until(lambda: container.poll() is not None, _PATIENCE)
        status = container.poll()
    finally:
        world.unwatch(container.fileno())
        container.close()
        signal.signal(signal.SIGINT, previous)
    if status is None:
        raise WorldError("the container does not end")
    return status if status >= 0 else 128 - status
