"""The two realms that a gateway joins, and what leaves it."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

# Notes of emissions that readers of traces look for.
FRAGMENT_KEPT: Final = "fragment kept until the datagram is whole"
HELD: Final = "held by the ALG"
HELD_ACKNOWLEDGED: Final = "held bytes acknowledged"
DROPPED_BY_ALG: Final = "dropped by the ALG: "  # and the model's reason


class Side(IntEnum):
    """The two realms that a gateway joins."""

    INSIDE = 0
    OUTSIDE = 1

    @property
    def other(self) -> Side:
        return _OTHER[self]


_OTHER: Final = {Side.INSIDE: Side.OUTSIDE, Side.OUTSIDE: Side.INSIDE}


class Emission(NamedTuple):
    """One thing that the gateway does about a packet.

    ``side`` is where ``packet`` leaves, ``None`` when it goes no further (``note`` says why).
    ``originated``: the router made it (an ICMP error, say), so it leaves with the TTL it has.
    ``changed``: the ALG changed the payload. ``error``: the model raised; what it said.
    """

    side: Side | None
    packet: bytes
    note: str = ""
    originated: bool = False
    changed: bool = False
    error: str = ""
