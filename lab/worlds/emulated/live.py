"""The emulated world by the wall clock: for programs from outside the lab.

SIPp, a detector, a shell: they have clocks of their own, so virtual time is of no use to them.
Here packets go through the queue as they come, agents' timers run in real time, and one loop
serves queues, sockets and the end of programs.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any, Final

from lab.agents.base import Send
from lab.errors import UsageError
from lab.gateway.alg import Model
from lab.gateway.gateway import Side
from lab.wire import ip
from lab.wire.ip import Endpoint
from lab.worlds.base import WorldError
from lab.worlds.emulated import sockets
from lab.worlds.emulated.world import UNREACHABLE_ERRORS, EmulatedLab, QueueOwner
from lab.worlds.network import Arrival, Delivery, Unreachable
from lab.worlds.trace import Passage

# Debian packages of programs that people run in the lab, for the error when one is missing.
_PACKAGES: Final = {
    "sipp": "sip-tester",
    "sipsak": "sipsak",
    "kamailio": "kamailio",
    "baresip": "baresip-core",
}


class LiveWorld(QueueOwner):
    """A running lab in real time. ``now`` is in seconds since it began."""

    def __init__(self, lab: EmulatedLab, models: Mapping[str, Model], seed: object) -> None:
        super().__init__(lab, models, seed)
        self._began = time.monotonic()
        self._selector = selectors.DefaultSelector()
        self._identification = 0
        for queue in lab.queues.values():
            self._selector.register(queue, selectors.EVENT_READ, queue.run)
        self._programs: list[subprocess.Popen[bytes]] = []

    # -- programs --------------------------------------------------------------------------------

    def start(
        self,
        host: str,
        command: Sequence[str],
        *,
        stdin: int | IO[bytes] | None = subprocess.DEVNULL,
        stdout: int | IO[bytes] | None = None,
        stderr: int | IO[bytes] | None = None,
        environment: Mapping[str, str] | None = None,
        directory: str | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a program on a host. Raises ``UsageError`` for an unknown host or a missing program."""
        nodes = self._lab.fabric.nodes
        if host not in nodes:
            raise UsageError(
                f"no host '{host}' in topology '{self.network.topology.id}'; there are {', '.join(nodes)}"
            )
        program = command[0]
        if shutil.which(program) is None:
            package = _PACKAGES.get(os.path.basename(program))  # noqa: PTH119 - a command, not a path
            raise UsageError(
                f"no program '{program}' here" + (f": apt-get install {package}" if package else "")
            )
        # mnexec joins the network namespace of the host and becomes the program.
        process = subprocess.Popen(
            ["mnexec", "-a", str(self._lab.fabric.pid(host)), *command],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env={**os.environ, **(environment or {})},
            cwd=directory,
        )
        self._programs.append(process)
        return process

    def wait(self, process: subprocess.Popen[bytes], timeout: float | None = None) -> int | None:
        """Serve the lab until a program ends.

        Returns its exit status, ``None`` when ``timeout`` seconds passed first.
        """
        if process.poll() is not None:
            return process.returncode
        descriptor = os.pidfd_open(process.pid)
        try:
            self._selector.register(descriptor, selectors.EVENT_READ, lambda: None)
            deadline = None if timeout is None else time.monotonic() + timeout
            while process.poll() is None:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return None
                self._turn(left)
            return process.returncode
        finally:
            self._selector.unregister(descriptor)
            os.close(descriptor)

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """End a program: ask, then insist."""
        if process.poll() is None:
            process.terminate()
            if self.wait(process, 2.0) is None:
                process.kill()
                process.wait()

    # -- the loop ----------------------------------------------------------------------------------

    def run_until(self, done: Callable[[], bool], timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while not done():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._turn(left)
        return True

    def _turn(self, longest: float | None) -> None:
        """Wait for whatever comes first, ``longest`` seconds at most, and deal with it."""
        self._tick()
        when = self._next_timer()
        until_timer = None if when is None else max(0.0, when - self.now)
        waits = [each for each in (longest, until_timer) if each is not None]
        for key, _ in self._selector.select(min(waits) if waits else None):
            self._tick()
            key.data()
            while self._arrivals:
                self._dispatch(self._arrivals.popleft())
        self._tick()
        self._fire()

    def _tick(self) -> None:
        self.now = time.monotonic() - self._began

    # -- packets -----------------------------------------------------------------------------------

    def queued(self, gateway: str, side: Side, packet: Any) -> None:
        self.now = time.monotonic() - self._began
        data: bytes = packet.get_payload()
        try:
            emissions = self.gateways[gateway].handle(data, side, self.now)
        except BaseException:
            packet.drop()
            raise
        self.trace.add(Passage(self.now, gateway, side, data, emissions))
        accepted = self.give_verdict(packet, gateway, emissions)
        mtu = self.mtu[gateway]
        for emission in emissions:
            if emission.side is None or emission is accepted:
                continue
            out = emission.packet if emission.originated else ip.decrement_ttl(emission.packet)
            if len(out) > mtu and out[0] >> 4 == 4:
                self._identification = self._identification % 0xFFFF + 1
                self.inject(gateway, ip.fragment(out, mtu, identification=self._identification))
            else:
                self.inject(gateway, [out])

    def open_socket(self, host: str, local: Endpoint) -> None:
        super().open_socket(host, local)
        sock = self._open[local]

        def readable() -> None:
            target = sockets.read_error(sock)
            if target is not None:
                self._arrivals.append(Unreachable(local, target))
            try:
                payload, address = sock.recvfrom(ip.MAX_PACKET)
            except BlockingIOError:
                return
            except OSError:
                return  # an ICMP error, dealt with above
            self._arrivals.append(Delivery(local, Endpoint(address[0], address[1]), payload))

        self._selector.register(sock, selectors.EVENT_READ, readable)

    def close_socket(self, local: Endpoint) -> None:
        self._selector.unregister(self._open[local])
        super().close_socket(local)

    def transmit(self, host: str, send: Send) -> list[Arrival]:
        sock, target = self._open[send.local], (send.remote.ip, send.remote.port)
        try:
            try:
                sock.sendto(send.payload, target)
            except OSError as error:
                if error.errno not in UNREACHABLE_ERRORS:
                    raise
                sock.sendto(send.payload, target)  # that was an earlier error, reported late
        except OSError as error:
            self.remark(host, "not-sent", f"to {send.remote}: {error.strerror}")
        return []

    def close(self) -> list[str]:
        for process in self._programs:
            self.stop(process)
        problems = super().close()
        self._selector.close()
        return problems


def interruptible(world: LiveWorld, process: subprocess.Popen[bytes]) -> int:
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


__all__ = ["LiveWorld", "interruptible"]
