"""STUN binding requests and their answers (RFC 5389, RFC 8489): just enough to tell a client its mapping.

Attributes other than XOR-MAPPED-ADDRESS and MAPPED-ADDRESS are skipped. Any bytes may be read.
"""

from __future__ import annotations

import struct
from typing import Final

from siplab.lab.wire.ip import Endpoint, pack_ip, unpack_ip

COOKIE: Final = 0x2112A442
_REQUEST: Final = 0x0001
_RESPONSE: Final = 0x0101
_MAPPED: Final = 0x0001
_XOR_MAPPED: Final = 0x0020


def request(transaction: bytes) -> bytes:
    """A binding request (RFC 8489 section 5). ``transaction``: 12 bytes."""
    return struct.pack("!HHI", _REQUEST, 0, COOKIE) + transaction


def answer(received: bytes, source: Endpoint, *, classic: bool = False) -> bytes | None:
    """The success response to a binding request from ``source``; ``None`` when it is not one.

    ``classic``: with MAPPED-ADDRESS instead of XOR-MAPPED-ADDRESS (section 14.1).
    """
    if len(received) < 20 or received[:2] != b"\0\1" or received[4:8] != struct.pack("!I", COOKIE):
        return None
    transaction = received[8:20]
    address = pack_ip(source.ip)
    family = 2 if ":" in source.ip else 1
    if classic:
        value = struct.pack("!BBH", 0, family, source.port) + address
        attribute = struct.pack("!HH", _MAPPED, len(value)) + value
        return struct.pack("!HHI", _RESPONSE, len(attribute), COOKIE) + transaction + attribute
    pad = struct.pack("!I", COOKIE) + transaction
    hidden = bytes(one ^ other for one, other in zip(address, pad, strict=False))
    value = struct.pack("!BBH", 0, family, source.port ^ COOKIE >> 16) + hidden
    attribute = struct.pack("!HH", _XOR_MAPPED, len(value)) + value
    return struct.pack("!HHI", _RESPONSE, len(attribute), COOKIE) + transaction + attribute


def mapped(received: bytes, transaction: bytes) -> Endpoint | None:
    """The mapped address in the answer to that transaction; ``None`` when none can be read."""
    if len(received) < 20 or received[:2] != b"\1\1" or received[8:20] != transaction:
        return None
    pad = received[4:20]
    at, plain = 20, None
    while at + 4 <= len(received):
        kind, length = struct.unpack_from("!HH", received, at)
        value = received[at + 4 : at + 4 + length]
        at += 4 + (length + 3) // 4 * 4  # attributes are padded (section 14)
        if len(value) != length or length not in (8, 20) or value[1] != (1 if length == 8 else 2):
            continue
        port = int.from_bytes(value[2:4], "big")
        if kind == _XOR_MAPPED:
            address = bytes(one ^ other for one, other in zip(value[4:], pad, strict=False))
            return Endpoint(unpack_ip(address), port ^ COOKIE >> 16)
        if kind == _MAPPED:
            plain = Endpoint(unpack_ip(value[4:]), port)
    return plain
