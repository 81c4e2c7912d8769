"""A program that runs on a host of a live world. What it prints is kept up to a limit."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from siplab.experiments.programs import verdicts
from siplab.lab.worlds.emulated.confinement import Confinement
from siplab.lab.worlds.emulated.containers import ContainerProcess
from siplab.lab.worlds.emulated.live import LiveWorld

_PIECE: Final = 64 * 1024
# Seconds in which a killed program must be gone. A container engine needs time.
_PATIENCE: Final = 10.0


class _Started(Protocol):
    """What all programs have in common, wherever they run. ``fileno`` becomes readable when they end."""

    def fileno(self) -> int: ...

    def poll(self) -> int | None: ...

    def signal(self, number: signal.Signals) -> None: ...

    def close(self) -> None: ...


class _Native:
    """A program of this machine, with its process group."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._descriptor = os.pidfd_open(process.pid)
        self.poll = process.poll

    def fileno(self) -> int:
        return self._descriptor

    def signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def close(self) -> None:
        os.close(self._descriptor)


class _Stream:
    """One end of a pipe that a program prints to; keeps the first ``limit`` bytes."""

    def __init__(self, world: LiveWorld, descriptor: int, limit: int) -> None:
        self._world = world
        self._descriptor: int | None = descriptor
        self._limit = limit
        self.data = bytearray()
        self.overflowed = False
        os.set_blocking(descriptor, False)
        world.watch(descriptor, self.read)

    def read(self) -> bool:
        """Read a piece. Returns whether there was one."""
        if self._descriptor is None:
            return False
        try:
            piece = os.read(self._descriptor, _PIECE)
        except BlockingIOError:
            return False
        if not piece:
            self.close()
            return False
        room = self._limit - len(self.data)
        self.data += piece[:room]
        self.overflowed |= len(piece) > room
        return True

    def close(self) -> None:
        if self._descriptor is not None:
            self._world.unwatch(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None


class Process:
    """A started program. ``command`` and ``environment`` have no placeholders left.

    ``image``: the container image in which to run it, instead of a program of this machine. ``files``: what
    is put into the container, by paths there. ``container`` exists until ``close`` and can be read after its
    end. ``directory``: the working directory, else this process's. ``orders``: ``say`` can write to its
    standard input; otherwise that is empty. ``confinement``: what it may do; for an image only the
    capabilities count, the engine does the rest. Raises ``UsageError`` if it can't be started.
    """

    LIMIT: Final = 4 << 20  # bytes of each stream

    def __init__(
        self,
        world: LiveWorld,
        name: str,
        host: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        image: str | None = None,
        directory: str | None = None,
        confinement: Confinement | None = None,
        orders: bool = False,
        files: Mapping[str, Path] | None = None,
    ) -> None:
        self.name = name
        self.host = host
        self.command = tuple(command)
        self.image = image
        self.container: ContainerProcess | None = None
        self._ended: float | None = None
        self._world = world
        out_read, out_write = os.pipe2(os.O_CLOEXEC)
        err_read, err_write = os.pipe2(os.O_CLOEXEC)
        in_read, self._in = os.pipe2(os.O_CLOEXEC) if orders else (subprocess.DEVNULL, -1)
        try:
            self._process: _Started
            if image is None:
                self._process = _Native(
                    world.start(
                        host,
                        command,
                        stdin=in_read,
                        stdout=out_write,
                        stderr=err_write,
                        environment=environment,
                        directory=directory,
                        session=True,
                        confinement=confinement,
                    )
                )
            else:
                self._process = self.container = world.start_container(
                    host,
                    image,
                    command,
                    stdout=out_write,
                    stderr=err_write,
                    environment=environment,
                    capabilities=confinement.capabilities if confinement is not None else (),
                    files=files,
                    stays=True,
                )
        except BaseException:
            os.close(out_read)
            os.close(err_read)
            self._close_input()
            raise
        finally:
            os.close(out_write)
            os.close(err_write)
            if orders:
                os.close(in_read)
        self.began = time.monotonic()  # the time to start a container is not the program's
        self._out = _Stream(world, out_read, self.LIMIT)
        self._err = _Stream(world, err_read, self.LIMIT)
        self._watching = True
        self._searched, self._found = -1, False
        world.watch(self._process.fileno(), self._note_end)

    def say(self, line: str) -> None:
        """Write a line to its standard input. Nothing happens if it no longer reads."""
        if self._in >= 0:
            with suppress(BrokenPipeError, BlockingIOError):
                os.write(self._in, f"{line}\n".encode())

    def _close_input(self) -> None:
        if self._in >= 0:
            os.close(self._in)
            self._in = -1

    # -- what it did -----------------------------------------------------------------------------

    @property
    def stdout(self) -> bytes:
        return bytes(self._out.data)

    @property
    def stderr(self) -> bytes:
        return bytes(self._err.data)

    @property
    def status(self) -> int | None:
        """Its exit status, or minus the signal that ended it; ``None`` while it runs."""
        return self._process.poll()

    @property
    def seconds(self) -> float:
        """For how many seconds it has been running, or ran."""
        return (self._ended or time.monotonic()) - self.began

    @property
    def flooding(self) -> bool:
        """Whether it printed more than is kept."""
        return self._out.overflowed or self._err.overflowed

    @property
    def over(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.flooding or self.status is not None

    @property
    def failed(self) -> bool:
        """Whether it has ended in a way that makes the trial invalid."""
        return self.flooding or self.status not in (None, 0)

    def printed(self, pattern: str) -> bool:
        """Whether a regular expression is found in its output so far. It must be the same at each call."""
        size = len(self._out.data) + len(self._err.data)
        if size != self._searched:  # called often, while new output is rare
            self._searched = size
            self._found = any(
                re.search(pattern, each.data.decode("utf-8", "replace"), re.MULTILINE)
                for each in (self._out, self._err)
            )
        return self._found

    @property
    def last_words(self) -> str:
        """The end of an error message: the last line that it printed; may be empty."""
        self.drain()
        for data in (self.stderr, self.stdout):
            line = verdicts.one_line(data.decode("utf-8", "replace"))
            if line:
                return f"; it last said: {line}"
        return ""

    def drain(self) -> None:
        """Read what it has printed so far."""
        for stream in (self._out, self._err):
            while not stream.overflowed and stream.read():
                pass

    # -- its end ---------------------------------------------------------------------------------

    def end(self, grace: float) -> None:
        """Ask the program and its process group to end; kill them after ``grace`` seconds."""
        if self._process.poll() is None:
            self._process.signal(signal.SIGTERM)
            self._world.run_until(lambda: self._process.poll() is not None, grace)
        self._process.signal(signal.SIGKILL)
        # Its output is read meanwhile: an engine reports the end only after the last byte.
        self._world.run_until(lambda: self._process.poll() is not None, _PATIENCE)

    def close(self) -> None:
        """Read the rest of its output, and release its resources."""
        self.drain()
        self._close_input()
        self._out.close()
        self._err.close()
        self._note_end()
        if self.container is not None:
            self.container.remove()
        self._process.close()

    def _note_end(self) -> None:
        # The descriptor of an ended process stays readable, so this is noted once.
        self._ended = self._ended or time.monotonic()
        if self._watching:
            self._watching = False
            self._world.unwatch(self._process.fileno())
