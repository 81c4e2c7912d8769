"""The emulated world on the wall clock: for programs from outside the lab.

SIPp, a detector or a shell have clocks of their own, so they can't follow virtual time. Here packets go
through the queue as they come, agents' timers run in real time, and one loop serves queues, sockets and the
end of programs.
"""

from __future__ import annotations

import os
import random
import selectors
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final, Literal

from siplab.lab.counting import number_of
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.gateway import Emission, Side
from siplab.lab.sip.base import Send, SendSegment, Transport
from siplab.lab.wire import ip
from siplab.lab.wire.fragments import fragmented
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.base import WorldError
from siplab.lab.worlds.emulated import executables, offload, sockets
from siplab.lab.worlds.emulated import namespaces as ns
from siplab.lab.worlds.emulated.confinement import Confinement
from siplab.lab.worlds.emulated.containers import ContainerProcess
from siplab.lab.worlds.emulated.guardian import ask_to_take
from siplab.lab.worlds.emulated.host_tap import HostTap
from siplab.lab.worlds.emulated.kernel_tap import Pairing, account
from siplab.lab.worlds.emulated.mininet_shell import MininetShell
from siplab.lab.worlds.emulated.world import UNREACHABLE_ERRORS, EmulatedLab, QueueOwner
from siplab.lab.worlds.forwarding import Arrival, Delivery, SegmentDelivery, Unreachable, source_of
from siplab.lab.worlds.trace import Passage, WorldEvent

# Real seconds in which a program that does nothing must have ended.
_PATIENCE: Final = 5.0


class LiveWorld(QueueOwner):
    """A running lab in real time. ``now``: seconds since it began."""

    def __init__(self, lab: EmulatedLab, models: Mapping[str, Model], seed: object) -> None:
        for queue in lab.queues.values():
            queue.run()  # packets of an earlier trial do not belong to this one
        super().__init__(lab, models, seed)
        self._began = time.monotonic()
        self._selector = selectors.DefaultSelector()
        self._identification = 0
        for queue in lab.queues.values():
            self._selector.register(queue, selectors.EVENT_READ, queue.run)
        self._programs: list[subprocess.Popen[bytes]] = []
        self._taps: dict[str, HostTap] = {}
        self._aged = 0.0
        self._seed = seed
        self._pairing = {name: Pairing(name) for name in lab.taps}
        self._passages: list[Passage] = []  # at gateways that the kernel or a container provides
        for gateway_tap in lab.taps.values():
            self._selector.register(gateway_tap, selectors.EVENT_READ, self._observe)

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
        session: bool = False,
        confinement: Confinement | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a program on a host; with ``session`` it leads a session and a process group of its own.

        ``confinement``: what it may do; without one, the same as this process. Raises ``UsageError`` for an
        unknown host, or a program that is missing or can't be run.
        """
        nodes = self._lab.fabric.nodes
        if host not in nodes:
            raise UsageError(
                f"no host '{host}' in topology '{self.network.topology.id}'; there are {', '.join(nodes)}"
            )
        program = command[0]
        executables.require(program)
        try:
            with self._entrance(host, directory, confinement) as enter:
                process = subprocess.Popen(
                    command,
                    stdin=stdin,
                    stdout=stdout,
                    stderr=stderr,
                    env={**os.environ, **(environment or {})},
                    start_new_session=session,
                    # This process has one thread, so no lock can be held during the fork.
                    preexec_fn=enter,
                )
        except OSError as error:
            raise UsageError(f"'{program}' can't be run: {error.strerror}") from None
        except subprocess.SubprocessError:
            raise WorldError(f"'{host}' does not let programs in: it can't be confined there") from None
        self._programs.append(process)
        return process

    def mininet_shell(self) -> MininetShell:
        """Start Mininet's command line, with this process's terminal."""
        return MininetShell(self._lab.fabric)

    def start_container(
        self,
        host: str,
        image: str,
        command: Sequence[str],
        *,
        stdout: int,
        stderr: int,
        environment: Mapping[str, str],
        capabilities: Sequence[str] = (),
        files: Mapping[str, Path] | None = None,
        stays: bool = False,
    ) -> ContainerProcess:
        """Start a program in a container on a host. Raises ``UsageError`` when that can't be done.

        ``capabilities``: in addition to those that the engine gives to every container. ``files``: by their
        paths in the container. ``stays``: the container stays until it is removed, so that it can be read
        after its end.
        """
        if host not in self._lab.fabric.nodes:
            known = ", ".join(self._lab.fabric.nodes)
            raise UsageError(f"no host '{host}' in topology '{self.network.topology.id}'; there are {known}")
        if self._lab.containers.hold(host):
            self._lab.adopted(host)
        return self._lab.containers.start(
            host, image, command, environment, capabilities, stdout, stderr, files, stays
        )

    def can_start(self, host: str) -> bool:
        """Whether a host can run a program; tried with ``true``, which every machine has."""
        try:
            return self.start(host, ["true"]).wait(_PATIENCE) == 0
        except (UsageError, WorldError, subprocess.TimeoutExpired):
            return False

    @contextmanager
    def _entrance(
        self, host: str, directory: str | None, confinement: Confinement | None
    ) -> Iterator[Callable[[], None]]:
        """A function with which a new process joins a host's namespaces."""
        fabric = self._lab.fabric
        network, place = fabric.namespaces[host], directory or os.getcwd()  # noqa: PTH109
        mounts = os.open(f"/proc/{fabric.pid(host)}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)

        def enter() -> None:
            ns.enter(network, ns.NEWNET)
            ns.enter(mounts, ns.NEWNS)
            if confinement is not None:
                confinement.enter()
            with suppress(OSError):
                os.chdir(place)

        try:
            yield enter
        finally:
            os.close(mounts)

    # -- a router under live traffic ---------------------------------------------------------------

    def swap(
        self, gateway: str, model: Model, *, flows: Literal["all", "new"] = "all", flush: bool = False
    ) -> None:
        """Put another model into a gateway. What stays: see ``Gateway.swap``; with ``flush`` nothing does."""
        router = self.gateways[gateway]
        if flush:
            router.forget()
        router.swap(
            model, random.Random(f"{self._seed}/{gateway}/{model.id}"), self.gateway_time, flows=flows
        )
        self.remark(gateway, WorldEvent.SWAPPED, f"the model is {model.id} now")

    @property
    def gateway_time(self) -> float:
        """The gateways' time in seconds: ``now`` plus the seconds by which they were aged."""
        return self.now + self._aged

    def age(self, seconds: float) -> None:
        """Make all that the gateways remember older by ``seconds``, as if no packet had passed meanwhile."""
        self._aged += seconds

    def attach(self, segment: str, guardian: int) -> None:
        """Take a real card onto a network of the lab, from the guardian behind the descriptor ``guardian``.

        Raises ``UsageError``.
        """
        if segment not in self.network.topology.networks:
            known = ", ".join(self.network.topology.networks)
            raise UsageError(
                f"no network '{segment}' in topology '{self.network.topology.id}'; there are {known}"
            )
        fabric = self._lab.fabric
        hub, bridge = fabric.bridge_of(segment)
        fabric.open_to_others(segment)
        ask_to_take(guardian, fabric.namespaces[hub], bridge)

    def namespace(self, host: str) -> int:
        """A descriptor of a host's network namespace."""
        return int(self._lab.fabric.namespaces[host])

    def socket(self, host: str, family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        """A non-blocking socket on a host, to reach what listens there."""
        with ns.inside(self.namespace(host)):
            made = socket.socket(family, kind)
        made.setblocking(False)
        return made

    def tap(self, host: str) -> None:
        """Record in the trace what programs on a host send and get, as for the lab's agents."""
        if host in self._taps:
            return
        fabric = self._lab.fabric
        devices = {device: Side.INSIDE for (node, _), device in fabric.interfaces.items() if node == host}
        for device in devices:
            # A tap sees packets before the device completes their checksums.
            offload.turn_off(fabric.namespaces[host], device)
        tap = self._taps[host] = HostTap(host, fabric.namespaces[host], devices)
        self._selector.register(tap, selectors.EVENT_READ, self._read_taps)

    def _read_taps(self) -> None:
        """Add the packets that the taps saw to the trace, in the order in which they passed."""
        began = time.time() - (time.monotonic() - self._began)
        records = [record for tap in self._taps.values() for record in tap.read(began)]
        for record in sorted(records, key=lambda each: each.now):
            self.trace.add(record)

    def _observe(self) -> None:
        """Add the packets at gateways of the kernel's or a container's to the trace."""
        for name, tap in self._lab.taps.items():
            for seen in tap.read():
                passage = self._pairing[name].add(seen, self.now)
                if passage is not None:
                    self._passages.append(passage)
                    self.trace.add(passage)

    def _dispatch(self, arrival: Arrival) -> None:
        self._observe()  # a packet that an agent received passed the router earlier
        super()._dispatch(arrival)

    def watch(self, descriptor: int, readable: Callable[[], object]) -> None:
        """Call ``readable`` whenever there is something to read from a descriptor."""
        self._selector.register(descriptor, selectors.EVENT_READ, readable)

    def unwatch(self, descriptor: int) -> None:
        """Stop watching a descriptor, which must still be open."""
        self._selector.unregister(descriptor)

    def wait(
        self, process: subprocess.Popen[bytes] | MininetShell, timeout: float | None = None
    ) -> int | None:
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

    def run_until(self, done: Callable[[], bool], timeout: float, every: float | None = None) -> bool:
        """As in every world, but on the wall clock.

        ``every``: look at ``done`` again after so many seconds, for changes that no packet, timer or
        descriptor announces.
        """
        deadline = time.monotonic() + timeout
        while not done():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._turn(left if every is None else min(left, every))
        return True

    def _turn(self, longest: float | None) -> None:
        """Wait for the next thing to happen, for ``longest`` seconds at most, and handle it."""
        self._tick()
        self._agenda.touch_all()
        flow = self._agenda.next_flow()
        dues = [each for each in (self._next_timer(), flow.due if flow else None) if each is not None]
        until_timer = max(0.0, min(dues) - self.now) if dues else None
        waits = [each for each in (longest, until_timer) if each is not None]
        for key, _ in self._selector.select(min(waits) if waits else None):
            if self._selector.get_map().get(key.fd) is not key:
                continue  # closed by another one's handler in this turn
            self._tick()
            key.data()
            while self._arrivals:
                self._dispatch(self._arrivals.popleft())
        self._tick()
        self._agenda.touch_all()
        self._fire()
        while (flow := self._agenda.next_flow()) is not None and flow.due <= self.now:
            self._play(*flow, self.now)
        while self.impairments is not None and (departure := self.impairments.pop(self.now)) is not None:
            departure()

    def _tick(self) -> None:
        self.now = time.monotonic() - self._began

    # -- packets -----------------------------------------------------------------------------------

    def queued(self, gateway: str, side: Side, packet: Any) -> None:
        if self._taps:
            self._read_taps()  # the packet left its host before it came here
        self.now = time.monotonic() - self._began
        data: bytes = packet.get_payload()
        if self.impairments is not None:
            packet.drop()  # it goes on when it is due, and not through the queue
            self._admit(gateway, side, data)
            return
        try:
            emissions = self.gateways[gateway].handle(data, side, self.gateway_time)
        except BaseException:
            packet.drop()
            raise
        self.trace.add(Passage(self.now, gateway, side, data, emissions))
        accepted = self.give_verdict(packet, gateway, emissions)
        mtu = self.mtu[gateway]
        for emission in emissions:
            if emission.side is not None and emission is not accepted:
                self.inject(gateway, self._pieces(emission, mtu))

    def _pieces(self, emission: Emission, mtu: int) -> list[bytes]:
        """An emission as the packets that go on the wire."""
        out = emission.packet if emission.originated else ip.decrement_ttl(emission.packet)
        if len(out) <= mtu or out[0] >> 4 != 4:
            return [out]
        self._identification = self._identification % 0xFFFF + 1
        return fragmented(out, mtu, identification=self._identification)

    # -- impaired networks -------------------------------------------------------------------------

    def _admit(self, gateway: str, side: Side, data: bytes) -> None:
        """Hold a packet of an outside program for the impaired networks that it has crossed.

        Packets of the lab's own agents were held where they were sent. The way is assumed to be the same in
        both directions.
        """
        source = source_of(data)

        def enter() -> list[Arrival]:
            self._cross(gateway, side, data)
            return []

        if self._is_from_agent(source, data) or not self._launch(gateway, source, data, enter):
            enter()

    def _is_from_agent(self, source: str, data: bytes) -> bool:
        try:
            packet = ip.parse(data)
        except ip.MalformedPacketError:
            return False
        ours = self._tcp if packet.protocol == ip.TCP else self._open
        return packet.protocol in (ip.TCP, ip.UDP) and Endpoint(source, packet.sport) in ours

    def _cross(self, gateway: str, side: Side, data: bytes) -> None:
        emissions = self.gateways[gateway].handle(data, side, self.gateway_time)
        self.trace.add(Passage(self.now, gateway, side, data, emissions))
        for emission in emissions:
            if emission.side is not None:
                pieces = self._pieces(emission, self.mtu[gateway])
                if not self.held(gateway, pieces):
                    self.inject(gateway, pieces)

    def open_socket(self, host: str, local: Endpoint, transport: Transport) -> None:
        super().open_socket(host, local, transport)
        if transport == "udp":
            self._selector.register(
                self._open[local], selectors.EVENT_READ, lambda: self._read_datagram(local)
            )
            return
        # Programs use the kernel's TCP, which computes no checksums between namespaces.
        for (node, _), device in self._lab.fabric.interfaces.items():
            offload.turn_off(self._lab.fabric.namespaces[node], device)
        self._selector.register(self._tcp[local], selectors.EVENT_READ, lambda: self._read_segment(local))

    def _read_datagram(self, local: Endpoint) -> None:
        sock = self._open[local]
        error = sockets.read_error(sock)
        if error is not None:
            self._arrivals.append(Unreachable(local, *error))
        try:
            payload, address = sock.recvfrom(ip.MAX_PACKET)
        except OSError:
            return  # no datagram, or an ICMP error, which was handled above
        self._arrivals.append(Delivery(local, Endpoint(address[0], address[1]), payload))

    def _read_segment(self, local: Endpoint) -> None:
        try:
            packet = self._tcp[local].read()
        except BlockingIOError:
            return
        self._arrivals.append(SegmentDelivery(local, ip.parse(packet).source, packet))

    def close_socket(self, local: Endpoint, transport: Transport) -> None:
        self._selector.unregister(self._tcp[local] if transport == "tcp" else self._open[local])
        super().close_socket(local, transport)

    def transmit(self, host: str, send: Send | SendSegment) -> list[Arrival]:
        if isinstance(send, SendSegment):
            self.send_segment(host, send.packet)
            return []
        sock = self._open[send.local]
        try:
            try:
                sockets.send(sock, send)
            except OSError as error:
                if error.errno not in UNREACHABLE_ERRORS:
                    raise
                sockets.send(sock, send)  # that was an earlier error, reported late
        except OSError as error:
            detail = f"to {send.remote}: {error.strerror}"
            self.remark(host, WorldEvent.NOT_SENT, detail, send.local, send.remote)
        return []

    def close(self) -> list[str]:
        for process in self._programs:
            self.stop(process)
        missed = {host: tap.missed() for host, tap in self._taps.items()}
        for tap in self._taps.values():
            tap.close()
        problems = super().close()
        self._observe()
        for passage in self._passages:
            account(passage)
        missed |= {name: tap.missed() for name, tap in self._lab.taps.items()}
        problems += [
            f"the tap at {host} missed {number_of(count, 'packet')}"
            for host, count in missed.items()
            if count
        ]
        self._selector.close()
        return problems
