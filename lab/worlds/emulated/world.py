"""The emulated world: real hosts, the real kernel, the netfilter queue, and a virtual clock.

A lab's network stays up while trials come and go. Within a trial one packet at a time is put on the wire and
followed: the forwarder (``siplab.lab.worlds.forwarding``) predicts the next station, and this world waits
until the kernel has taken the packet there. At every station it compares the bytes. So every packet is
accounted for before the clock jumps, and a kernel that behaves differently from the simulated network is
found out at once.
"""

from __future__ import annotations

import abc
import errno
import select
import socket
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any, Final

from siplab.lab.counting import number_of
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.gateway import Emission, Gateway, Side
from siplab.lab.sip.base import Send, SendSegment, Transport
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.base import WorldError, make_gateways
from siplab.lab.worlds.emulated import fingerprint, offload, sockets
from siplab.lab.worlds.emulated.containers import Containers
from siplab.lab.worlds.emulated.fabric import INSIDE_QUEUE, OUTSIDE_QUEUE, Fabric, Tables
from siplab.lab.worlds.emulated.kernel_tap import Tap
from siplab.lab.worlds.emulated.queue import Drops, PacketQueue
from siplab.lab.worlds.emulated.tcp_ports import TcpPort
from siplab.lab.worlds.forwarding import Arrival, Delivery, Forwarder, SegmentDelivery, Unreachable
from siplab.lab.worlds.impairments import impairments_of
from siplab.lab.worlds.lab_world import LabWorld, as_packet
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.trace import Passage, WorldEvent

# Real seconds to wait for the kernel to carry a packet to the next station. The kernel needs microseconds, so
# this runs out only when something is broken.
# this long only when something is broken.
PATIENCE: Final = 5.0

# Types of ICMP errors that quote a packet (RFC 792): unreachable, time exceeded, parameter problem.
_QUOTING: Final = frozenset({3, 11, 12})
UNREACHABLE_ERRORS: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ECONNREFUSED})


class EmulatedLab:
    """A running network with its queues, for any number of trials. Must be made in a bubble.

    ``tables``: the packet filter of the gateways, instead of queueing packets to this process. ``taps``: see
    the packets of gateways that the kernel or a container provides. Raises ``UsageError``,
    ``CapabilityError``.
    """

    def __init__(self, network: Network, tables: Tables | None = None) -> None:
        check_images(network)
        self.network = network
        self.fabric = Fabric(network, tables)
        self.world: QueueOwner | None = None
        self._pristine: dict[bool, fingerprint.Fingerprint] = {}
        gateways = network.topology.gateways
        boxes = [name for name in network.topology.images if name in gateways]
        for name in boxes:
            self.containers.hold(name)
        self.senders = {name: sockets.RawSender(self.fabric.namespaces[name]) for name in gateways}
        self.taps = {
            name: Tap(self.fabric.namespaces[name], self._sides(name))
            for name in (boxes if tables is None else gateways)
        }
        if self.taps:
            # A tap sees packets before a device completes their checksums.
            for (node, _), interface in self.fabric.interfaces.items():
                offload.turn_off(self.fabric.namespaces[node], interface)
        self.queues: dict[tuple[str, Side], PacketQueue] = {}
        for name in gateways if tables is None else ():
            if name in boxes:
                continue
            for number, side in ((INSIDE_QUEUE, Side.INSIDE), (OUTSIDE_QUEUE, Side.OUTSIDE)):
                self.queues[name, side] = PacketQueue(
                    self.fabric.namespaces[name], number, self._callback(name, side)
                )

    def _sides(self, gateway: str) -> dict[str, Side]:
        router = self.network.topology.gateways[gateway]
        return {
            self.fabric.interfaces[gateway, segment]: side
            for side, segments in ((Side.INSIDE, router.inside), (Side.OUTSIDE, router.outside))
            for segment in segments
        }

    def _callback(self, gateway: str, side: Side) -> Any:
        def callback(packet: Any) -> None:
            if self.world is None:
                packet.drop()  # nobody is using the network, so no packet should be under way
            else:
                self.world.queued(gateway, side, packet)

        return callback

    def sender(self, node: str) -> sockets.RawSender:
        """The socket that sends whole packets at a node."""
        known = self.senders.get(node)
        if known is None:
            known = self.senders[node] = sockets.RawSender(self.fabric.namespaces[node])
        return known

    def remember(self, *, thorough: bool) -> None:
        """Remember the present state of the network: trials with programs must leave it so."""
        if thorough not in self._pristine:
            self._pristine[thorough] = fingerprint.of(self.fabric, thorough=thorough)

    def adopted(self, host: str) -> None:
        """A host has got another network namespace: remember its new state."""
        for thorough, known in self._pristine.items():
            known |= fingerprint.of(self.fabric, thorough=thorough, hosts=[host])

    def changed(self) -> str:
        """The first difference from the remembered state; '' if there is none."""
        pairs = [
            (before, fingerprint.of(self.fabric, thorough=thorough))
            for thorough, before in self._pristine.items()
        ]
        return next((found for pair in pairs if (found := fingerprint.difference(*pair))), "")

    @cached_property
    def containers(self) -> Containers:
        """The containers on its hosts. Raises ``UsageError`` if the bubble was made without containers."""
        return Containers(self.fabric)

    def trial(self, models: Mapping[str, Model], seed: object) -> EmulatedWorld:
        """A world for one trial."""
        return EmulatedWorld(self, models, seed)

    def close(self) -> None:
        for queue in self.queues.values():
            queue.close()
        for tap in self.taps.values():
            tap.close()
        for sender in self.senders.values():
            sender.close()
        if "containers" in self.__dict__:
            self.containers.close()
        self.fabric.close()


def check_images(network: Network) -> None:
    """Raises ``UsageError`` for a container as a router, where networks delay or lose packets."""
    boxes = [name for name in network.topology.images if name in network.topology.gateways]
    if boxes and impairments_of(network, None) is not None:
        raise UsageError(
            f"topology '{network.topology.id}' delays or loses packets, which router '{boxes[0]}', an image, "
            "can't: choose another topology"
        )


class QueueOwner(LabWorld):
    """What the two kinds of emulated world share: the lab's queues and sockets."""

    kind = "emulated"

    def __init__(self, lab: EmulatedLab, models: Mapping[str, Model], seed: object) -> None:
        super().__init__(lab.network, seed)
        self._lab = lab
        self.gateways: dict[str, Gateway] = make_gateways(lab.network, models, seed) if lab.queues else {}
        self.mtu = {
            name: min(lab.network.mtu[segment] for segment in lab.network.node_addresses[name])
            for name in self.gateways
        }
        self._open: dict[Endpoint, socket.socket] = {}
        self._tcp: dict[Endpoint, TcpPort] = {}
        self._before = {key: queue.drops() for key, queue in lab.queues.items()}
        lab.world = self

    @abc.abstractmethod
    def queued(self, gateway: str, side: Side, packet: Any) -> None:
        """Called by NetfilterQueue with a packet, which needs exactly one verdict."""

    def open_socket(self, host: str, local: Endpoint, transport: Transport) -> None:
        namespace = self._lab.fabric.namespaces[host]
        if transport == "tcp":
            self._tcp[local] = TcpPort(namespace, local)
        else:
            self._open[local] = sockets.open_udp(namespace, local, self.dscp.get(host, 0))

    def close_socket(self, local: Endpoint, transport: Transport) -> None:
        (self._tcp if transport == "tcp" else self._open).pop(local).close()

    def send_segment(self, host: str, packet: bytes) -> None:
        """Put a TCP segment of an agent on the wire."""
        try:
            self._lab.sender(host).send(packet)
        except OSError as error:
            if error.errno not in UNREACHABLE_ERRORS:
                raise WorldError(f"{host} can't send a segment: {error.strerror}") from None

    def depart(self, gateway: str, pieces: list[bytes]) -> list[Arrival]:
        self.inject(gateway, pieces)
        return []

    def give_verdict(self, packet: Any, gateway: str, emissions: list[Emission]) -> Emission | None:
        """Give a queued packet its one verdict.

        Returns the emission that leaves as the queued packet itself, which the kernel routes on; ``None``
        when that packet is dropped. The other emissions are for ``inject``.
        """
        mtu = self.mtu[gateway]
        for emission in emissions:
            if emission.side is not None and not emission.originated and len(emission.packet) <= mtu:
                packet.set_payload(emission.packet)
                packet.accept()
                return emission
        packet.drop()
        return None

    def inject(self, gateway: str, pieces: list[bytes]) -> None:
        """Put packets on the wire at a gateway, without its queue."""
        for piece in pieces:
            try:
                self._lab.senders[gateway].send(piece)
            except OSError as error:
                self.remark(gateway, WorldEvent.NOT_SENT, f"the kernel refused a packet: {error.strerror}")

    def close(self) -> list[str]:
        problems = super().close()
        for key, queue in self._lab.queues.items():
            before, after = self._before[key], queue.drops()
            lost = Drops(after.queue_full - before.queue_full, after.socket_full - before.socket_full)
            if any(lost):
                problems.append(
                    f"the kernel dropped packets at {key[0]}/{key[1].name.lower()}: "
                    f"{lost.queue_full} for a full queue, {lost.socket_full} for a full socket"
                )
        self._lab.world = None
        return problems


class EmulatedWorld(QueueOwner):
    """One trial over the kernel, with the lab's agents only, under the virtual clock."""

    def __init__(self, lab: EmulatedLab, models: Mapping[str, Model], seed: object) -> None:
        super().__init__(lab, models, seed)
        self._forwarder = Forwarder(lab.network, self)
        self._waiting: dict[tuple[str, Side], deque[Any]] = {key: deque() for key in lab.queues}
        self._accepted: Emission | None = None
        self._drain()  # packets of an earlier trial do not belong to this one

    def transmit(self, host: str, send: Send | SendSegment) -> list[Arrival]:
        if isinstance(send, SendSegment):
            self.send_segment(host, send.packet)
        else:
            self._send_datagram(host, send)
        return self._forwarder.send(host, as_packet(send, self.dscp.get(host, 0)))

    def _send_datagram(self, host: str, send: Send) -> None:
        try:
            sockets.send(self._open[send.local], send)
        except OSError as error:
            if error.errno not in UNREACHABLE_ERRORS:
                raise WorldError(f"{host} can't send to {send.remote}: {error.strerror}") from None
            if error.errno == errno.ECONNREFUSED:  # an earlier error, reported late: nothing was sent
                sockets.send(self._open[send.local], send)

    def depart(self, gateway: str, pieces: list[bytes]) -> list[Arrival]:
        self.inject(gateway, pieces)
        return self._forwarder.resume(gateway, pieces)

    # -- the carrier's part ------------------------------------------------------------------------

    def queued(self, gateway: str, side: Side, packet: Any) -> None:
        packet.retain()
        self._waiting[gateway, side].append(packet)

    def cross(self, gateway: str, side: Side, packet: bytes) -> list[Emission]:
        held = self._take(gateway, side)
        try:
            seen: bytes = held.get_payload()
            if not _same(seen, packet):
                self._disagree(f"{gateway}/{side.name.lower()}", packet, seen)
            # The kernel chooses the IP identification; the predicted packet has none.
            emissions = self.gateways[gateway].handle(packet, side, self.now)
        except BaseException:
            held.drop()
            raise
        self.trace.add(Passage(self.now, gateway, side, packet, emissions))
        if self.impairments is None:
            self._accepted = self.give_verdict(held, gateway, emissions)
        else:
            held.drop()  # packets may leave later, and the kernel can't keep them for so long
            self._accepted = None
        return emissions

    def leave(self, gateway: str, emission: Emission, pieces: list[bytes]) -> None:
        if emission is not self._accepted:
            self.inject(gateway, pieces)

    def arrive(self, local: Endpoint, source: Endpoint, packet: bytes) -> Delivery:
        sock = self._open[local]
        self._await(sock, select.POLLIN, f"a datagram from {source} at {local}")
        payload, address = sock.recvfrom(ip.MAX_PACKET)
        expected = packet[28:] if packet[0] == 0x45 else ip.parse(packet).payload
        seen = Endpoint(address[0], address[1])
        if payload != expected or seen != source:
            self._disagree(str(local), expected, payload)
        return Delivery(local, seen, payload)

    def arrive_segment(self, local: Endpoint, source: Endpoint, packet: bytes) -> SegmentDelivery:
        port = self._tcp[local]
        self._await(port, select.POLLIN, f"a segment from {source} at {local}")
        seen, predicted = ip.parse(port.read()), ip.parse(packet)
        # The kernel may have reassembled the packet, so IP headers are not compared.
        if (seen.source, seen.transport, seen.payload) != (source, predicted.transport, predicted.payload):
            self._disagree(f"TCP port {local}", packet, bytes(seen))
        return SegmentDelivery(local, source, packet)

    def bounce(self, local: Endpoint, remote: Endpoint) -> Unreachable | None:
        sock = self._open[local]
        self._await(sock, select.POLLERR, f"an ICMP error about {remote} at {local}")
        target, quote = sockets.read_error(sock) or (remote, b"")
        if quote != self._forwarder.quote:
            self._disagree(f"the error queue of {local}", self._forwarder.quote, quote)
        return Unreachable(local, target, quote)

    def close(self) -> list[str]:
        stray = self._drain()
        problems = super().close()
        if stray:
            problems.append(f"in a queue: {number_of(stray, 'packet')} that nobody had sent")
        return problems

    # -- waiting for the kernel ------------------------------------------------------------------------

    def _take(self, gateway: str, side: Side) -> Any:
        """The next packet in a queue; waits until the kernel has put one there."""
        waiting = self._waiting[gateway, side]
        if not waiting:
            queue = self._lab.queues[gateway, side]
            queue.run()
            if not waiting:
                self._await(queue, select.POLLIN, f"a packet in the queue of {gateway}/{side.name.lower()}")
                queue.run()
        if not waiting:
            raise WorldError(f"the queue of {gateway}/{side.name.lower()} woke up without a packet")
        return waiting.popleft()

    def _await(self, source: Any, events: int, what: str) -> None:
        poll = select.poll()
        poll.register(source, events)
        if not poll.poll(0) and not poll.poll(PATIENCE * 1000):
            raise WorldError(f"the kernel did not deliver {what} within {PATIENCE:g} s")

    def _drain(self) -> int:
        """Drop packets in the queues that nobody expects; returns how many there were."""
        for queue in self._lab.queues.values():
            queue.run()
        count = 0
        for waiting in self._waiting.values():
            while waiting:
                with suppress(RuntimeError):
                    waiting.popleft().drop()
                count += 1
        return count

    def _disagree(self, where: str, predicted: bytes, seen: bytes) -> None:
        raise WorldError(
            f"at {where} the kernel has other bytes than the model of it: "
            f"{seen[:96].hex()} ({len(seen)}) instead of {predicted[:96].hex()} ({len(predicted)})"
        )


def _same(seen: bytes, predicted: bytes) -> bool:
    """Equal except for IPv4 identification and header checksum, in a quoted packet too."""
    if seen == predicted:
        return True
    if seen[:1] != b"\x45" or len(seen) != len(predicted):
        return False
    if seen[:4] != predicted[:4] or seen[6:10] != predicted[6:10]:
        return False
    if seen[12:] == predicted[12:]:
        return True
    if len(seen) < 48 or seen[9] != ip.ICMP or seen[20] not in _QUOTING or seen[12:28] != predicted[12:28]:
        return False
    return _same(seen[28:], predicted[28:])


def build(network: Network) -> EmulatedLab:
    """A lab for ``network``."""
    return EmulatedLab(network)
