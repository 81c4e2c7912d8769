"""What a router answers for itself, by ICMP."""

from __future__ import annotations

from collections.abc import Sequence

from siplab.lab.gateway.fate import Fate
from siplab.lab.gateway.sides import Emission, Side
from siplab.lab.wire.icmp import PORT_UNREACHABLE, TIME_EXCEEDED, icmp_echo, icmp_error, is_icmp_error
from siplab.lab.wire.ip import ICMP, UDP, Packet


class OwnAddress:
    """The addresses of one router. It answers inside hosts from ``inside`` (IPv4) and ``inside6``."""

    def __init__(self, inside_addresses: Sequence[str], public_ip: str) -> None:
        self.all_inside = frozenset(inside_addresses)
        self.inside = next((each for each in inside_addresses if ":" not in each), public_ip)
        self.inside6 = next((each for each in inside_addresses if ":" in each), "::")
        self._public = public_ip

    def renumber(self, public_ip: str) -> None:
        """The public address is another one from now on."""
        if self.inside == self._public:
            self.inside = public_ip
        self._public = public_ip

    def answer(self, packet: Packet, data: bytes) -> list[Emission]:
        """The router's answer to a packet from the inside that is addressed to it (RFC 1122)."""
        if packet.protocol == ICMP and packet.icmp_type == 8:
            sequence = int.from_bytes(packet.transport[6:8], "big")
            reply = icmp_echo(packet.dst, packet.src, packet.sport, sequence, packet.payload, reply=True)
            return [Emission(Side.INSIDE, reply, Fate.ECHO_REPLY, originated=True)]
        if packet.protocol == UDP:
            error = icmp_error(packet.dst, PORT_UNREACHABLE, data)
            return [Emission(Side.INSIDE, error, Fate.PORT_UNREACHABLE, originated=True)]
        return [Emission(None, data, Fate.FOR_ROUTER)]

    def ttl_exceeded(self, packet: Packet, side: Side, data: bytes) -> list[Emission]:
        """Drop a packet and tell its sender by an ICMP error (never about an ICMP error)."""
        if is_icmp_error(packet):
            return [Emission(None, data, Fate.TTL_EXCEEDED)]
        own = self.inside if side is Side.INSIDE else self._public
        if packet.version == 6:
            own = self.inside6
        error = icmp_error(own, TIME_EXCEEDED, data)
        return [Emission(side, error, Fate.TTL_EXCEEDED, originated=True)]
