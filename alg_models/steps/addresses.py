"""Translating one written address into another, and back, so that each side sees its own form.

A translation must be undone to the letter. A phone that wrote ``sip:alice@192.168.1.20``
without a port must not read ``192.168.1.20:5060`` in the answer, since the two URIs differ
(RFC 3261 section 19.1.4). So the ALG remembers who left the port out.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from siplab.lab.gateway.alg import Context
from siplab.lab.wire.headers import HostPort
from siplab.lab.wire.ip import Endpoint

DEFAULT_PORT: Final = 5060
_LIMIT: Final = 4096  # entries; messages make them, so there must be a bound


class PortHabits:
    """Who writes an address without its port, per kind of place (Via, URI) and per side."""

    def __init__(self) -> None:
        self._portless: dict[tuple[str, Endpoint], None] = {}

    def saw(self, kind: str, endpoint: Endpoint, with_port: bool) -> None:
        if with_port:
            if self._portless:
                self._portless.pop((kind, endpoint), None)
            return
        if len(self._portless) >= _LIMIT:
            del self._portless[next(iter(self._portless))]
        self._portless[kind, endpoint] = None

    def leaves_out(self, kind: str, endpoint: Endpoint) -> bool:
        return endpoint.port == DEFAULT_PORT and (kind, endpoint) in self._portless


class _Shared:
    """The memory key that all translating steps of a gateway share."""


_HABITS: Final = _Shared()


def translate(place: HostPort, context: Context, kind: str) -> bytes | None:
    """The translation of ``place`` for the other side, as text; ``None``: leave it alone."""
    host = place.bare_host
    if context.outbound:
        own, other = context.inside, context.outside
    else:
        own, other = context.outside, context.inside
        if host != context.nat.public_ip.encode():
            return None
    if place.port == own.port and host == own.ip.encode() and _HABITS not in context.memory:
        return written(other)  # by far the most common case: the flow's own address, with its port
    here = Endpoint(host.decode("latin-1"), DEFAULT_PORT if place.port is None else place.port)
    there = context.public(here) if context.outbound else context.private(here)
    if there is None or there == here:
        return None
    if place.port is not None and _HABITS not in context.memory:
        return written(there)
    habits = context.remember(_HABITS, PortHabits)
    habits.saw(kind, here, place.port is not None)
    return written(there, with_port=not habits.leaves_out(kind, there))


@lru_cache(maxsize=4096)
def written(endpoint: Endpoint, *, with_port: bool = True) -> bytes:
    """An endpoint as SIP writes it; IPv6 in brackets."""
    return (str(endpoint) if with_port else str(endpoint).rpartition(":")[0]).encode()
