"""The outcome of a datagram or segment, in the form in which the two sides are compared."""

from __future__ import annotations

from typing import NamedTuple

from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint, MalformedPacketError

# ICMP packets that a side sends on its own are no part of a datagram's outcome.


class Numbers(NamedTuple):
    """What a TCP segment has besides its data."""

    seq: int
    ack: int
    flags: int


class Left(NamedTuple):
    """A datagram that left the router. With ``numbers``: a TCP segment."""

    outbound: bool
    source: Endpoint
    destination: Endpoint
    payload: bytes
    numbers: Numbers | None = None


def left(outbound: bool, packet: bytes) -> Left | None:
    """The same, from a whole packet; ``None`` if it is neither."""
    try:
        parsed = ip.parse(packet)
    except MalformedPacketError:
        return None
    if parsed.protocol not in (ip.UDP, ip.TCP) or parsed.is_fragment:
        return None
    numbers = Numbers(parsed.seq, parsed.ack, parsed.flags) if parsed.protocol == ip.TCP else None
    return Left(outbound, parsed.source, parsed.destination, parsed.payload, numbers)
