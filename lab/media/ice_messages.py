"""Connectivity checks: STUN requests that prove who sends them (RFC 8445 section 7, RFC 8489 section 14)."""

from __future__ import annotations

import hashlib
import hmac
import struct
import zlib
from typing import Final, NamedTuple

from siplab.lab.media import stun
from siplab.lab.wire.ip import Endpoint

_USERNAME: Final = 0x0006
_INTEGRITY: Final = 0x0008
_PRIORITY: Final = 0x0024
_USE_CANDIDATE: Final = 0x0025
_FINGERPRINT: Final = 0x8028
_CONTROLLED: Final = 0x8029
_CONTROLLING: Final = 0x802A
_XOR: Final = 0x5354554E  # of the fingerprint (RFC 8489 section 14.7)


class Check(NamedTuple):
    """What a check says. ``use``: the sender nominates this pair."""

    username: bytes
    priority: int
    use: bool


def is_stun(payload: bytes) -> bool:
    """Whether a datagram on a media port is STUN (RFC 7983)."""
    return len(payload) >= 20 and payload[0] < 4 and payload[4:8] == struct.pack("!I", stun.COOKIE)


def check(transaction: bytes, password: bytes, said: Check, *, controlling: bool, tie_breaker: int) -> bytes:
    """A connectivity check. ``password`` is the other side's."""
    message = stun.request(transaction)
    message = _with(message, _USERNAME, said.username)
    message = _with(message, _PRIORITY, struct.pack("!I", said.priority))
    role = _CONTROLLING if controlling else _CONTROLLED
    message = _with(message, role, struct.pack("!Q", tie_breaker))
    if said.use:
        message = _with(message, _USE_CANDIDATE, b"")
    return _sealed(message, password)


def answer(request: bytes, source: Endpoint, password: bytes) -> bytes:
    """The answer to a check from ``source``; ``password`` is our own."""
    plain = stun.answer(request, source)
    assert plain is not None
    return _sealed(plain, password)


def read_check(payload: bytes, password: bytes) -> Check | None:
    """What a check says; ``None`` for what is none, or is not sealed with our password."""
    if payload[:2] != b"\0\1" or not is_genuine(payload, password):
        return None
    found = {kind: value for kind, value, _ in _attributes(payload)}
    if len(found.get(_PRIORITY, b"")) != 4:
        return None
    rank = int.from_bytes(found[_PRIORITY], "big")
    return Check(found.get(_USERNAME, b""), rank, _USE_CANDIDATE in found)


def is_genuine(payload: bytes, password: bytes) -> bool:
    """Whether a message is sealed with that password (RFC 8489 section 14.5)."""
    for kind, value, at in _attributes(payload):
        if kind == _INTEGRITY and len(value) == 20:
            return hmac.compare_digest(value, _mac(payload[:at], password))
    return False


def _attributes(payload: bytes) -> list[tuple[int, bytes, int]]:
    """Type, value and position of each attribute."""
    found, at = [], 20
    while at + 4 <= len(payload):
        kind, length = struct.unpack_from("!HH", payload, at)
        found.append((kind, payload[at + 4 : at + 4 + length], at))
        at += 4 + (length + 3) // 4 * 4
    return found


def _with(message: bytes, kind: int, value: bytes) -> bytes:
    padded = value + bytes(-len(value) % 4)
    message += struct.pack("!HH", kind, len(value)) + padded
    return _with_length(message, len(message) - 20)


def _with_length(message: bytes, length: int) -> bytes:
    return message[:2] + length.to_bytes(2, "big") + message[4:]


def _mac(before: bytes, password: bytes) -> bytes:
    """Of what stands before the attribute, with a length that counts it."""
    return hmac.digest(password, _with_length(before, len(before) - 20 + 24), hashlib.sha1)


def _sealed(message: bytes, password: bytes) -> bytes:
    message = _with(message, _INTEGRITY, _mac(message, password))
    crc = zlib.crc32(_with_length(message, len(message) - 20 + 8)) ^ _XOR
    return _with(message, _FINGERPRINT, struct.pack("!I", crc))
