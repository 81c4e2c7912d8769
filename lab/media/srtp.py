"""Encrypted media: SRTP and SRTCP with AES in counter mode and HMAC-SHA1 (RFC 3711).

The rules of this file:

- One suite, ``AES_CM_128_HMAC_SHA1_80``, keys from the session description (``siplab.lab.media.srtp_keys``),
  derived once (a key derivation rate of 0).
- Encryption depends on the key and the packet's index, which is the sender's extended sequence number. So
  one packet of a stretch can be computed without those before it.
- A packet that is not authentic is counted, and otherwise ignored.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from typing import Final

from siplab.lab.errors import CapabilityError
from siplab.lab.sip.base import Train

TAG: Final = 10  # bytes of the authentication tag
_AES: Final = 16


def check_available() -> None:
    """Raises ``CapabilityError`` where AES is missing."""
    try:
        import cryptography  # noqa: F401
    except ImportError:
        raise CapabilityError(
            "encrypted media need the package 'cryptography' (pip install 'siplab[srtp]')"
        ) from None


def _keystream(key: bytes, counter: int, length: int) -> bytes:
    """AES in counter mode (RFC 3711 section 4.1.1)."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    cipher = Cipher(algorithms.AES(key), modes.CTR(counter.to_bytes(_AES, "big")))
    return cipher.encryptor().update(bytes(length))


def _xor(data: bytes, pad: bytes) -> bytes:
    size = len(data)
    return (int.from_bytes(data, "big") ^ int.from_bytes(pad[:size], "big")).to_bytes(size, "big")


class _Keys:
    """The session keys of one direction, for media (``control`` 0) or for reports (3): section 4.3."""

    def __init__(self, key: bytes, control: int) -> None:
        master, salt = key[:16], int.from_bytes(key[16:30], "big")

        def derived(label: int, length: int) -> bytes:
            return _keystream(master, (salt ^ label + control << 48) << 16, length)

        self.cipher, self.auth = derived(0, 16), derived(1, 20)
        self.salt = int.from_bytes(derived(2, 14), "big")

    def crypt(self, data: bytes, ssrc: int, index: int) -> bytes:
        """Encrypt or decrypt."""
        counter = self.salt << 16 ^ ssrc << 64 ^ index << 16
        return _xor(data, _keystream(self.cipher, counter, len(data)))

    def tag(self, data: bytes) -> bytes:
        return hmac.digest(self.auth, data, hashlib.sha1)[:TAG]


class Sealer:
    """Encrypts what one side sends."""

    def __init__(self, key: bytes) -> None:
        check_available()
        self._media, self._control = _Keys(key, 0), _Keys(key, 3)
        self._reports = 0

    def packet(self, plain: bytes, index: int) -> bytes:
        """An RTP packet; ``index``: its extended sequence number (section 3.3.1)."""
        at = _header_length(plain)
        ssrc = int.from_bytes(plain[8:12], "big")
        sealed = plain[:at] + self._media.crypt(plain[at:], ssrc, index)
        return sealed + self._media.tag(sealed + struct.pack("!I", index >> 16 & 0xFFFFFFFF))

    def report(self, plain: bytes) -> bytes:
        """An RTCP datagram (section 3.4)."""
        self._reports += 1
        ssrc = int.from_bytes(plain[4:8], "big")
        sealed = plain[:8] + self._control.crypt(plain[8:], ssrc, self._reports)
        sealed += struct.pack("!I", 0x80000000 | self._reports)
        return sealed + self._control.tag(sealed)


class Opener:
    """Decrypts what the other side sends. ``rejected`` counts packets that are not authentic."""

    def __init__(self, key: bytes) -> None:
        check_available()
        self._media, self._control = _Keys(key, 0), _Keys(key, 3)
        self._latest: dict[int, int] = {}  # SSRC -> the highest index
        self._sound: dict[int, bool] = {}  # SSRC -> whether the latest packet was authentic
        self._reports: dict[int, int] = {}
        self.rejected = 0

    def packet(self, sealed: bytes) -> bytes | None:
        """The RTP packet in an SRTP packet; ``None`` when it is not authentic."""
        at = _header_length(sealed)
        if len(sealed) < at + TAG:
            self.rejected += 1
            return None
        ssrc = int.from_bytes(sealed[8:12], "big")
        index = self._index(ssrc, int.from_bytes(sealed[2:4], "big"))
        body, tag = sealed[:-TAG], sealed[-TAG:]
        expected = self._media.tag(body + struct.pack("!I", index >> 16 & 0xFFFFFFFF))
        self._sound[ssrc] = hmac.compare_digest(tag, expected)
        if not self._sound[ssrc]:
            self.rejected += 1
            return None
        self._latest[ssrc] = max(index, self._latest.get(ssrc, 0))
        return body[:at] + self._media.crypt(body[at:], ssrc, index)

    def train(self, train: Train) -> bool:
        """Whether the packets of a train are authentic: they are if the packet before them was."""
        ssrc = train.header.ssrc
        if not self._sound.get(ssrc, False):
            self.rejected += train.arrived
            return False
        last = train.packets - 1 if train.arrivals is None else max(train.arrivals.numbers)
        index = self._index(ssrc, train.header.sequence) + last
        self._latest[ssrc] = max(index, self._latest.get(ssrc, 0))
        return True

    def report(self, sealed: bytes) -> bytes | None:
        """The RTCP datagram in an SRTCP one; ``None`` when it is not authentic, or a replay."""
        body, tag = sealed[:-TAG], sealed[-TAG:]
        if len(body) < 12 or not hmac.compare_digest(tag, self._control.tag(body)):
            self.rejected += 1
            return None
        index, ssrc = int.from_bytes(body[-4:], "big"), int.from_bytes(body[4:8], "big")
        if index & 0x7FFFFFFF <= self._reports.get(ssrc, 0):
            self.rejected += 1
            return None
        self._reports[ssrc] = index & 0x7FFFFFFF
        if not index & 0x80000000:
            return body[:-4]
        return body[:8] + self._control.crypt(body[8:-4], ssrc, index & 0x7FFFFFFF)

    def _index(self, ssrc: int, sequence: int) -> int:
        """The index that is nearest to the latest one (section 3.3.1, appendix A)."""
        latest = self._latest.get(ssrc)
        if latest is None:
            return sequence
        return max(sequence, latest + (sequence - latest + 0x8000) % 0x10000 - 0x8000)


def _header_length(packet: bytes) -> int:
    """Length of an RTP header with its CSRCs and extension (RFC 3550 section 5.1)."""
    length = 12 + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10 and len(packet) >= length + 4:
        length += 4 + 4 * int.from_bytes(packet[length + 2 : length + 4], "big")
    return length
