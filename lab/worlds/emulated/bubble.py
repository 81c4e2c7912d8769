"""The bubble: a process in namespaces of its own, in which everything emulated lives.

It has its own network, mount and process namespaces, and its own user namespace unless root started it. The
bubble's first process is process 1 of its process namespace. When process 1 dies, of SIGKILL too, the kernel
ends every process in the bubble and removes every interface and rule. Process 1 and its waiter die with the
process that opened the bubble. So there is nothing to clean up.

    parent ── waiter (unshares, forks) ── process 1 (mounts, runs the task)

A task is a function ``task(connection)``, named as ``module:function``. It talks to the parent over a
``multiprocessing.connection.Connection``, which carries pickled objects between two processes of one program.
"""

from __future__ import annotations

import importlib
import os
import pickle
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from siplab.lab.errors import CapabilityError
from siplab.lab.worlds.emulated import forbidden, tools
from siplab.lab.worlds.emulated import namespaces as ns

_READY: Final = "bubble ready"
OTHERWISE: Final = "or use --world simulated"


class Bubble:
    """A running bubble. ``connection`` talks to the task in it.

    ``attached``: the task shares this process's standard streams and terminal (for ``exec`` and ``shell``);
    otherwise it has only standard error. ``descriptors``: open descriptors that the task gets; each key is
    the environment variable in which the task finds the descriptor's number. Raises ``CapabilityError`` when
    namespaces are not permitted.
    """

    greeted = True  # always: a bubble that can't greet is never made

    def __init__(
        self, task: str, *, attached: bool = False, descriptors: Mapping[str, int] | None = None
    ) -> None:
        self.connection, theirs = Pipe()
        descriptor = theirs.fileno()
        passed = [str(each) for each in (descriptors or {}).values()]
        environment = dict(zip(descriptors or (), passed, strict=True))
        self._process = subprocess.Popen(
            [
                sys.executable,
                *("-m", "siplab.lab.worlds.emulated.bubble", task),
                *(str(descriptor), str(os.getpid()), *passed),
            ],
            pass_fds=[descriptor, *map(int, passed)],
            **passing_on(environment, attached=attached),
            # Ctrl-C in the terminal is for this process, which ends the bubble in its own way.
            process_group=None if attached else 0,
        )
        theirs.close()
        try:
            greeting = self.connection.recv()
        except EOFError:
            greeting = "the bubble died while it was being made"
        if greeting != _READY:
            self.close()
            raise CapabilityError(str(greeting))

    @property
    def pid(self) -> int:
        """Process id of the waiter, seen from outside."""
        return self._process.pid

    @property
    def worker(self) -> int:
        """Process id of the process that runs the task (the bubble's process 1), seen from outside."""
        try:
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii")
        except OSError:  # it is gone, or this kernel has no list of children
            return self.pid
        return int(children.split()[0]) if children.split() else self.pid

    def call(self, *arguments: Any) -> Any:
        """Send one request and wait for its answer. Raises what the task raised, or ``EOFError``."""
        self.connection.send(arguments)
        return self.result()

    def result(self) -> Any:
        """The answer to an earlier request."""
        answer = self.connection.recv()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def wait(self) -> int:
        """Wait for the task to end; returns its exit status."""
        return self._process.wait()

    def close(self, patience: float = 0.0) -> str:
        """End the bubble and everything in it, now. Returns how it ended if it ended by itself, else ''.

        ``patience``: how many seconds to wait for a bubble that is ending by itself.
        """
        self.connection.close()
        return end(self._process, patience)

    def __enter__(self) -> Bubble:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve(connection: Connection, handle: Any, wait: Callable[[], object] = lambda: None) -> None:
    """The usual task loop: answer each request with ``handle(*request)`` until the parent hangs up.

    ``wait`` is called before each request. It may do other work until the connection is readable.
    """
    while True:
        wait()
        try:
            request = connection.recv()
        except (EOFError, OSError):
            return
        try:
            answer = handle(*request)
        except Exception as error:
            error.add_note("".join(traceback.format_exception(error)))
            answer = _portable(error)
        try:
            connection.send(answer)
        except OSError:
            raise
        except Exception as error:  # it can't be pickled, and no part of it was sent
            connection.send(RuntimeError(f"an answer that can't be passed on: {type(error).__name__}"))


def passing_on(environment: Mapping[str, str], *, attached: bool = False) -> dict[str, Any]:
    """Arguments for ``Popen`` that start this program's Python again: same modules, ``environment`` added.

    Standard output goes to standard error, unless ``attached``.
    """
    return {
        "stdin": None if attached else subprocess.DEVNULL,
        "stdout": None if attached else sys.stderr.fileno() if _has_descriptor(sys.stderr) else None,
        "env": {
            **os.environ,
            "PATH": tools.search_path(),
            **environment,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        },
    }


def end(process: subprocess.Popen[bytes], patience: float) -> str:
    """End a process, after ``patience`` seconds. Returns how it ended if it ended by itself, else ''."""
    early = None
    # Let a stopped process go on: it may be the one that reports how another ended.
    process.send_signal(signal.SIGCONT)
    with suppress(subprocess.TimeoutExpired):
        early = process.wait(patience)
    if early is None:
        process.kill()
    process.wait()
    return "" if early is None else how_it_ended(early)


def how_it_ended(status: int) -> str:
    """How a process ended, from ``Popen``'s status: ``exit status 3``, ``SIGKILL``."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def _end_alike(status: int) -> None:
    """End as a child ended, by its waitpid(2) status: with the same signal, or the same exit status."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        with suppress(OSError):  # some signals can't be given another handler
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _portable(error: Exception) -> Exception:
    """The error itself if it can be pickled for the parent, else a ``RuntimeError`` with its text."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - what is loaded was made right here
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _has_descriptor(stream: Any) -> bool:
    try:
        return bool(stream.fileno() >= 0)
    except (OSError, ValueError, AttributeError):
        return False


def _enter(connection: Connection, parent: int) -> None:
    """Become process 1 of new namespaces; the original process stays behind as the waiter."""
    flags = ns.NEWNS | ns.NEWPID | ns.NEWNET
    uid, gid = os.getuid(), os.getgid()
    try:
        ns.unshare(flags | (0 if uid == 0 else ns.NEWUSER))
        if uid != 0:
            ns.become_root_inside(uid, gid)
    except OSError as error:
        connection.send(f"{forbidden.reason(root=uid == 0)}; {OTHERWISE} ({error})")
        sys.exit(2)
    ns.die_with_parent(parent)
    waiter = os.pidfd_open(os.getpid())
    child = os.fork()
    if child:
        connection.close()
        # A terminal's Ctrl-C reaches the whole group; the task decides what it means.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _, status = os.waitpid(child, 0)
        _end_alike(status)
    # A forked process loses the parent-death signal, so ask for it again. In the new process namespace the
    # parent's id is 0, so the waiter's descriptor shows whether it died in between.
    ns.die_with_parent(0)
    if select.select([waiter], [], [], 0)[0]:
        os._exit(1)
    os.close(waiter)
    try:
        ns.mount("none", "/", "none", ns.MS_REC | ns.MS_PRIVATE)
        ns.mount("proc", "/proc", "proc", ns.MS_NOSUID | ns.MS_NODEV | ns.MS_NOEXEC)
        ns.mount("tmpfs", "/run", "tmpfs", ns.MS_NOSUID | ns.MS_NODEV)
        ns.mount("sysfs", "/sys", "sysfs", ns.MS_NOSUID | ns.MS_NODEV | ns.MS_NOEXEC)
    except OSError as error:
        connection.send(f"this machine does not let a user namespace mount file systems: {error}")
        sys.exit(2)


def main() -> None:
    """Entry of the new process: ``-m siplab.lab.worlds.emulated.bubble TASK DESCRIPTOR PARENT [MORE...]``."""
    name, descriptor, parent = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    connection: Connection = Connection(descriptor)
    for each in (descriptor, *map(int, sys.argv[4:])):
        os.set_inheritable(each, False)
    module, _, function = name.partition(":")
    task = getattr(importlib.import_module(module), function)
    _enter(connection, parent)
    connection.send(_READY)
    status = task(connection)
    sys.stdout.flush()
    sys.stderr.flush()
    # Process 1 ends without waiting for anything else in the bubble: the kernel ends it all.
    os._exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()
