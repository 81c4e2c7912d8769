"""A tap on a host where a program runs: the datagrams that it sends and gets, as records of the trace.

The lab's own agents record in the trace what they send and receive. A program does not, so a packet socket in
the host's namespace sees its packets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from siplab.lab.gateway.sides import Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import MalformedPacketError
from siplab.lab.worlds.emulated.kernel_tap import Tap
from siplab.lab.worlds.trace import Received, Segment, Sent


class HostTap:
    """Sees the UDP datagrams and TCP segments of one host. ``interfaces``: its devices, by name."""

    def __init__(self, host: str, namespace: int, interfaces: Mapping[str, Side]) -> None:
        self._host = host
        self._tap = Tap(namespace, interfaces)
        self._tap.stamp()

    def fileno(self) -> int:
        return self._tap.fileno()

    def read(self, began: float) -> Iterator[Sent | Received | Segment]:
        """What passed since the last call. ``began``: the time of day, in seconds, at which the trial began.

        Fragments are left out, and not put together.
        """
        for at, seen in self._tap.read_stamped():
            try:
                packet = ip.parse(seen.packet)
            except MalformedPacketError:
                continue
            if packet.is_fragment:
                continue
            now = round(max(0.0, at - began), 6)
            if packet.protocol == ip.TCP:
                yield Segment(now, self._host, seen.leaving, seen.packet)
            elif packet.protocol == ip.UDP and seen.leaving:
                yield Sent(now, self._host, packet.source, packet.destination, packet.payload)
            elif packet.protocol == ip.UDP:
                yield Received(now, self._host, packet.destination, packet.source, packet.payload)

    def missed(self) -> int:
        """How many packets did not fit in the socket's buffer since the last call."""
        return self._tap.missed()

    def close(self) -> None:
        self._tap.close()
