"""What STUN messages carry, and how they are authenticated (RFC 8489 section 14): for ICE and TURN.

A message is bytes: attributes are added at its end, its length is kept right. Any bytes may be read.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
import zlib
from typing import Final, NamedTuple

from siplab.lab.media import stun
from siplab.lab.wire.ip import Endpoint, pack_ip, unpack_ip

INTEGRITY: Final = 0x0008
_FINGERPRINT: Final = 0x8028
_XOR: Final = 0x5354554E  # of the fingerprint (section 14.7)


class Attribute(NamedTuple):
    """One attribute; ``at``: where it begins in the message."""

    kind: int
    value: bytes
    at: int


def attributes(payload: bytes) -> list[Attribute]:
    """All attributes that can be read."""
    found, at = [], 20
    while at + 4 <= len(payload):
        kind, length = struct.unpack_from("!HH", payload, at)
        found.append(Attribute(kind, payload[at + 4 : at + 4 + length], at))
        at += 4 + (length + 3) // 4 * 4
    return found


def added(message: bytes, kind: int, value: bytes) -> bytes:
    """The message with one more attribute."""
    padded = value + bytes(-len(value) % 4)
    message += struct.pack("!HH", kind, len(value)) + padded
    return _with_length(message, len(message) - 20)


def sealed(message: bytes, password: bytes, *, fingerprint: bool = True) -> bytes:
    """The message with a proof that its writer knows ``password`` (or the key of a long-term credential)."""
    message = added(message, INTEGRITY, _mac(message, password))
    if not fingerprint:
        return message
    crc = zlib.crc32(_with_length(message, len(message) - 20 + 8)) ^ _XOR
    return added(message, _FINGERPRINT, struct.pack("!I", crc))


def is_genuine(payload: bytes, password: bytes) -> bool:
    """Whether a message is sealed with that password (section 14.5)."""
    for kind, value, at in attributes(payload):
        if kind == INTEGRITY and len(value) == 20:
            return hmac.compare_digest(value, _mac(payload[:at], password))
    return False


def hidden(endpoint: Endpoint, transaction: bytes) -> bytes:
    """An endpoint as the value of XOR-MAPPED-ADDRESS and similar attributes (section 14.2)."""
    pad = struct.pack("!I", stun.COOKIE) + transaction
    address = bytes(one ^ other for one, other in zip(pack_ip(endpoint.ip), pad, strict=False))
    family = 2 if ":" in endpoint.ip else 1
    return struct.pack("!BBH", 0, family, endpoint.port ^ stun.COOKIE >> 16) + address


def revealed(value: bytes, transaction: bytes) -> Endpoint | None:
    """The endpoint in such an attribute; ``None`` when it can't be read."""
    if len(value) not in (8, 20) or value[1] != (1 if len(value) == 8 else 2):
        return None
    pad = struct.pack("!I", stun.COOKIE) + transaction
    address = bytes(one ^ other for one, other in zip(value[4:], pad, strict=False))
    return Endpoint(unpack_ip(address), int.from_bytes(value[2:4], "big") ^ stun.COOKIE >> 16)


def _with_length(message: bytes, length: int) -> bytes:
    return message[:2] + length.to_bytes(2, "big") + message[4:]


def _mac(before: bytes, password: bytes) -> bytes:
    """The HMAC of the bytes before the attribute, with a length that includes the attribute."""
    return hmac.digest(password, _with_length(before, len(before) - 20 + 24), hashlib.sha1)
