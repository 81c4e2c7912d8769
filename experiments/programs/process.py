"""A program that runs on a host of a live world, with a bounded memory of what it prints."""

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
# Seconds in which a killed program is gone; a container engine takes its time.
_PATIENCE: Final = 10.0


class _Started(Protocol):
    """What programs have in common, wherever they run. ``fileno`` becomes readable at their end."""

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
        """Take a piece; says whether there was one."""
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

    ``image``: the container image in which to run it, in the place of this machine's programs; ``files``:
    what is put into it, by the paths there. ``container`` is there until ``close``, to be read after its end.
    ``directory``: the working directory, else this process's. ``orders``: ``say`` can write to its standard
    input, which is empty otherwise. ``confinement``: what it may do; of an image its capabilities count, and
    the rest is the engine's affair.
    Raises ``UsageError`` when it can't be started.
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
        self.began = time.monotonic()  # what it takes to start a container is none of its time
        self._out = _Stream(world, out_read, self.LIMIT)
        self._err = _Stream(world, err_read, self.LIMIT)
        self._watching = True
        self._searched, self._found = -1, False
        world.watch(self._process.fileno(), self._note_end)

    def say(self, line: str) -> None:
        """Write a line to its standard input; one that does not read any more gets nothing."""
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
        """How long it has been running, or ran."""
        return (self._ended or time.monotonic()) - self.began

    @property
    def flooding(self) -> bool:
        """Whether it printed more than anybody reads."""
        return self._out.overflowed or self._err.overflowed

    @property
    def over(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.flooding or self.status is not None

    @property
    def failed(self) -> bool:
        """Whether it is over in a way that spoils the trial."""
        return self.flooding or self.status not in (None, 0)

    def printed(self, pattern: str) -> bool:
        """Whether a regular expression, always the same one, is found in what it printed so far."""
        size = len(self._out.data) + len(self._err.data)
        if size != self._searched:  # this is asked often, and it says something seldom
            self._searched = size
            self._found = any(
                re.search(pattern, each.data.decode("utf-8", "replace"), re.MULTILINE)
                for each in (self._out, self._err)
            )
        return self._found

    @property
    def last_words(self) -> str:
        """The end of an error message: the last thing it said, or nothing."""
        self.drain()
        for data in (self.stderr, self.stdout):
            line = verdicts.one_line(data.decode("utf-8", "replace"))
            if line:
                return f"; it last said: {line}"
        return ""

    def drain(self) -> None:
        """Read what is there already."""
        for stream in (self._out, self._err):
            while not stream.overflowed and stream.read():
                pass

    # -- its end ---------------------------------------------------------------------------------

    def end(self, grace: float) -> None:
        """Ask it to end, and insist after ``grace`` seconds; with its whole process group."""
        if self._process.poll() is None:
            self._process.signal(signal.SIGTERM)
            self._world.run_until(lambda: self._process.poll() is not None, grace)
        self._process.signal(signal.SIGKILL)
        # What it still prints is read meanwhile: an engine reports the end after the last byte.
        self._world.run_until(lambda: self._process.poll() is not None, _PATIENCE)

    def close(self) -> None:
        """Read what is left, and let go of it."""
        self.drain()
        self._close_input()
        self._out.close()
        self._err.close()
        self._note_end()
        if self.container is not None:
            self.container.remove()
        self._process.close()

    def _note_end(self) -> None:
        # A descriptor of a process that ended stays readable: one look is enough.
        self._ended = self._ended or time.monotonic()
        if self._watching:
            self._watching = False
            self._world.unwatch(self._process.fileno())
