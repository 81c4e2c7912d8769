"""Connectivity checks: STUN requests that prove who sends them (RFC 8445 section 7, RFC 8489 section 14)."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from siplab.lab.media import stun
from siplab.lab.media.stun_attributes import added, attributes, is_genuine, sealed
from siplab.lab.wire.ip import Endpoint

_USERNAME: Final = 0x0006
_PRIORITY: Final = 0x0024
_USE_CANDIDATE: Final = 0x0025
_CONTROLLED: Final = 0x8029
_CONTROLLING: Final = 0x802A

__all__ = ["Check", "answer", "check", "is_genuine", "is_stun", "read_check"]


class Check(NamedTuple):
    """The contents of a check. ``use``: the sender nominates this pair."""

    username: bytes
    priority: int
    use: bool


def is_stun(payload: bytes) -> bool:
    """Whether a datagram on a media port is STUN (RFC 7983)."""
    return len(payload) >= 20 and payload[0] < 4 and payload[4:8] == struct.pack("!I", stun.COOKIE)


def check(transaction: bytes, password: bytes, said: Check, *, controlling: bool, tie_breaker: int) -> bytes:
    """A connectivity check. ``password`` is the other side's."""
    message = stun.request(transaction)
    message = added(message, _USERNAME, said.username)
    message = added(message, _PRIORITY, struct.pack("!I", said.priority))
    role = _CONTROLLING if controlling else _CONTROLLED
    message = added(message, role, struct.pack("!Q", tie_breaker))
    if said.use:
        message = added(message, _USE_CANDIDATE, b"")
    return sealed(message, password)


def answer(request: bytes, source: Endpoint, password: bytes) -> bytes:
    """The answer to a check from ``source``; ``password`` is our own."""
    plain = stun.answer(request, source)
    assert plain is not None
    return sealed(plain, password)


def read_check(payload: bytes, password: bytes) -> Check | None:
    """The contents of a check; ``None`` if it is none, or is not sealed with our password."""
    if payload[:2] != b"\0\1" or not is_genuine(payload, password):
        return None
    found = {kind: value for kind, value, _ in attributes(payload)}
    if len(found.get(_PRIORITY, b"")) != 4:
        return None
    rank = int.from_bytes(found[_PRIORITY], "big")
    return Check(found.get(_USERNAME, b""), rank, _USE_CANDIDATE in found)
