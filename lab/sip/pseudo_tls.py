"""SIP over UDP that nobody on the way can read: a stand-in for TLS (``lab.sip.tls`` is real TLS, over TCP).

It has what matters to an ALG: each datagram is enciphered and authenticated with a key that both ends have,
inside a record header like that of DTLS (RFC 6347 section 4.1). There is no handshake, no certificate and no
sequence number: this is an emulation for trials, and protects nothing.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

_KEY: Final = b"siplab: both ends know this"
_HEADER: Final = b"\x17\xfe\xfd" + bytes(8)  # application data, DTLS 1.2, epoch and sequence number 0
_TAG: Final = 16


def seal(payload: bytes) -> bytes:
    """A datagram as it goes over the wire."""
    tag = hashlib.blake2b(payload, key=_KEY, digest_size=_TAG).digest()
    return _HEADER + (_TAG + len(payload)).to_bytes(2, "big") + tag + _mix(payload, tag)


def unseal(datagram: bytes) -> bytes | None:
    """The payload of a sealed datagram; ``None`` for any other, or one that was altered on the way."""
    at = len(_HEADER) + 2
    tag = datagram[at : at + _TAG]
    payload = _mix(datagram[at + _TAG :], tag)
    whole = hmac.compare_digest(seal(payload), datagram)
    return payload if whole else None


def _mix(data: bytes, tag: bytes) -> bytes:
    stream = hashlib.shake_256(_KEY + tag).digest(len(data))
    # As numbers: byte by byte it takes a hundred times as long.
    return (int.from_bytes(data, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(data), "big")
