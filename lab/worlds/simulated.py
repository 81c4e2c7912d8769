"""The simulated world: the network computed in this process. Any OS, no privilege, virtual time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.gateway import Emission, Side
from siplab.lab.sip.base import Send, SendSegment, Transport
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.base import make_gateways
from siplab.lab.worlds.forwarding import Arrival, Delivery, Forwarder, SegmentDelivery, Unreachable
from siplab.lab.worlds.lab_world import LabWorld, as_packet
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.trace import Passage

_LONGEST_HEADERS: Final = 48  # bytes: IPv6 and UDP


class SimulatedWorld(LabWorld):
    """One trial's world: a topology, a model per gateway, and a seed."""

    kind = "simulated"

    def __init__(self, network: Network, models: Mapping[str, Model], seed: object) -> None:
        super().__init__(network, seed)
        self.gateways = make_gateways(network, models, seed)
        self._forwarder = Forwarder(network, self)

    def transmit(self, host: str, send: Send | SendSegment) -> list[Arrival]:
        if (
            isinstance(send, Send)
            and len(send.payload) <= self.network.straight(host, send.remote.ip) - _LONGEST_HEADERS
            and send.ttl == ip.DEFAULT_TTL
            and send.remote in self._sockets["udp"]
        ):
            # No gateway is on the way, and nobody else looks at the packet.
            return [Delivery(send.remote, send.local, send.payload)]
        return self._forwarder.send(host, as_packet(send, self.dscp.get(host, 0)))

    def depart(self, gateway: str, pieces: list[bytes]) -> list[Arrival]:
        return self._forwarder.resume(gateway, pieces)

    def open_socket(self, host: str, local: Endpoint, transport: Transport) -> None:
        pass

    def close_socket(self, local: Endpoint, transport: Transport) -> None:
        pass

    def untie(self) -> None:
        super().untie()
        del self._forwarder

    # -- the carrier's part ------------------------------------------------------------------------

    def cross(self, gateway: str, side: Side, packet: bytes) -> list[Emission]:
        emissions = self.gateways[gateway].handle(packet, side, self.now)
        self.trace.add(Passage(self.now, gateway, side, packet, emissions))
        return emissions

    def leave(self, gateway: str, emission: Emission, pieces: list[bytes]) -> None:
        pass

    def arrive(self, local: Endpoint, source: Endpoint, packet: bytes) -> Delivery:
        return Delivery(local, source, packet[28:] if packet[0] == 0x45 else ip.parse(packet).payload)

    def arrive_segment(self, local: Endpoint, source: Endpoint, packet: bytes) -> SegmentDelivery:
        return SegmentDelivery(local, source, packet)

    def bounce(self, local: Endpoint, remote: Endpoint) -> Unreachable:
        return Unreachable(local, remote, self._forwarder.quote)
