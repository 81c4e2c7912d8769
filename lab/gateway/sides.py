"""The two realms that a gateway joins, and what leaves it."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from siplab.lab.gateway.fate import Fate


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

    ``side`` is where ``packet`` leaves; ``None``: it is dropped or kept, and ``fate`` says which and why.
    ``detail`` adds particulars of this packet for readers (addresses, the model's reason).
    ``originated``: the router made the packet (an ICMP error, for example), so it leaves with the TTL it has.
    ``changed``: the ALG changed the payload. ``error``: the model raised this error.
    """

    side: Side | None
    packet: bytes
    fate: Fate = Fate.FORWARDED
    detail: str = ""
    originated: bool = False
    changed: bool = False
    error: str = ""
