"""What became of a datagram, in the form in which the two sides are compared."""

from __future__ import annotations

from typing import NamedTuple

from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint, MalformedPacketError

# What two sides send of their own accord beside a datagram (ICMP) is no part of its outcome.


class Left(NamedTuple):
    """A datagram that left the router."""

    outbound: bool
    source: Endpoint
    destination: Endpoint
    payload: bytes


def left(outbound: bool, packet: bytes) -> Left | None:
    """The same from a whole packet; ``None`` when it is no UDP datagram."""
    try:
        parsed = ip.parse(packet)
    except MalformedPacketError:
        return None
    if parsed.protocol != ip.UDP or parsed.is_fragment:
        return None
    return Left(outbound, parsed.source, parsed.destination, parsed.payload)
