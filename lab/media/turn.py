"""TURN's messages (RFC 8656), as a client and a relay for UDP write and read them.

The rules of this file:

- Requests carry a long-term credential (RFC 8489 section 9.2): the key is made of user, realm and password.
- Media go as ChannelData (section 12), with four bytes in front of each packet. Packets from elsewhere than
  the channel's peer go as Data indications (section 11).
"""

from __future__ import annotations

import hashlib
import struct
from enum import IntEnum
from typing import Final, NamedTuple

from siplab.lab.media import stun
from siplab.lab.media.stun_attributes import added, attributes, hidden, revealed, sealed
from siplab.lab.wire.ip import Endpoint

LIFETIME: Final = 600  # seconds of an allocation (section 3.2)
PERMISSION: Final = 300.0  # seconds (section 9)
CHANNEL: Final = 600.0  # seconds (section 12)
FIRST_CHANNEL: Final = 0x4000
LAST_CHANNEL: Final = 0x4FFF
OVERHEAD: Final = 4  # bytes of ChannelData

_UDP: Final = b"\x11\0\0\0"  # REQUESTED-TRANSPORT


class Method(IntEnum):
    """Methods (section 17)."""

    BINDING = 0x001
    ALLOCATE = 0x003
    REFRESH = 0x004
    SEND = 0x006
    DATA = 0x007
    CREATE_PERMISSION = 0x008
    CHANNEL_BIND = 0x009


class Class(IntEnum):
    """Classes of messages (RFC 8489 section 5)."""

    REQUEST = 0x000
    INDICATION = 0x010
    SUCCESS = 0x100
    ERROR = 0x110


class Kind(IntEnum):
    """Attributes (section 18; RFC 8489 section 18.3)."""

    USERNAME = 0x0006
    ERROR_CODE = 0x0009
    CHANNEL_NUMBER = 0x000C
    LIFETIME = 0x000D
    XOR_PEER_ADDRESS = 0x0012
    DATA = 0x0013
    REALM = 0x0014
    NONCE = 0x0015
    XOR_RELAYED_ADDRESS = 0x0016
    REQUESTED_TRANSPORT = 0x0019
    XOR_MAPPED_ADDRESS = 0x0020


class Credential(NamedTuple):
    """A client's user and password, and the realm and nonce that the relay gave it."""

    user: bytes
    password: bytes
    realm: bytes = b""
    nonce: bytes = b""

    @property
    def key(self) -> bytes:
        """RFC 8489 section 9.2.2, with MD5."""
        return long_term_key(self.user, self.realm, self.password)


def long_term_key(user: bytes, realm: bytes, password: bytes) -> bytes:
    """The key of a long-term credential, with MD5."""
    return hashlib.md5(b":".join((user, realm, password)), usedforsecurity=False).digest()


class Message(NamedTuple):
    """A message that was read; ``wire`` is all of it."""

    method: int
    kind: int
    transaction: bytes
    values: dict[int, bytes]
    wire: bytes

    def endpoint(self, kind: Kind) -> Endpoint | None:
        """The endpoint in an attribute."""
        return revealed(self.values.get(kind, b""), self.transaction)

    @property
    def status(self) -> int:
        """The code of an error, 0 for none."""
        value = self.values.get(Kind.ERROR_CODE, b"")
        return (value[2] & 7) * 100 + value[3] if len(value) >= 4 else 0

    def number(self, kind: Kind, size: int) -> int:
        """The whole number in the first ``size`` bytes of an attribute, -1 for none."""
        value = self.values.get(kind, b"")
        return int.from_bytes(value[:size], "big") if len(value) >= size else -1


def message(method: Method, kind: Class, transaction: bytes, *rows: tuple[Kind, bytes]) -> bytes:
    """A message with these attributes. ``transaction``: 12 bytes."""
    wire = struct.pack("!HHI", method | kind, 0, stun.COOKIE) + transaction
    for name, value in rows:
        wire = added(wire, name, value)
    return wire


def request(
    method: Method, transaction: bytes, credential: Credential | None, *rows: tuple[Kind, bytes]
) -> bytes:
    """A request; authenticated once the relay's nonce is known."""
    if credential is None or not credential.nonce:
        return message(method, Class.REQUEST, transaction, *rows)
    proof = [
        (Kind.USERNAME, credential.user),
        (Kind.REALM, credential.realm),
        (Kind.NONCE, credential.nonce),
    ]
    return sealed(
        message(method, Class.REQUEST, transaction, *rows, *proof), credential.key, fingerprint=False
    )


def allocate(transaction: bytes, credential: Credential) -> bytes:
    """Ask for a relayed address for UDP."""
    return request(Method.ALLOCATE, transaction, credential, (Kind.REQUESTED_TRANSPORT, _UDP))


def bind(transaction: bytes, credential: Credential, channel: int, peer: Endpoint) -> bytes:
    """Bind a channel to a peer, which permits its address too."""
    number = (Kind.CHANNEL_NUMBER, struct.pack("!HH", channel, 0))
    return request(
        Method.CHANNEL_BIND,
        transaction,
        credential,
        number,
        (Kind.XOR_PEER_ADDRESS, hidden(peer, transaction)),
    )


def error(method: int, transaction: bytes, status: int, *rows: tuple[Kind, bytes]) -> bytes:
    """The error response to a request."""
    code = (Kind.ERROR_CODE, bytes((0, 0, status // 100, status % 100)))
    return message(Method(method), Class.ERROR, transaction, code, *rows)


def read(payload: bytes) -> Message | None:
    """A STUN message of a known method; ``None`` for anything else."""
    if len(payload) < 20 or payload[0] > 3 or payload[4:8] != struct.pack("!I", stun.COOKIE):
        return None
    head = int.from_bytes(payload[:2], "big")
    method = head & 0x00F
    if head & ~0x11F or method not in Method.__members__.values():
        return None
    values: dict[int, bytes] = {}
    for each in attributes(payload):
        values.setdefault(each.kind, each.value)
    return Message(method, head & 0x110, payload[8:20], values, payload)


def channel_data(channel: int, payload: bytes) -> bytes:
    """A payload in a channel. Over UDP nothing is padded."""
    return struct.pack("!HH", channel, len(payload)) + payload


def read_channel_data(payload: bytes) -> tuple[int, bytes] | None:
    """Channel and payload; ``None`` for anything else."""
    if len(payload) < OVERHEAD:
        return None
    channel, length = struct.unpack_from("!HH", payload)
    if not FIRST_CHANNEL <= channel <= LAST_CHANNEL or len(payload) < OVERHEAD + length:
        return None
    return channel, payload[OVERHEAD : OVERHEAD + length]
