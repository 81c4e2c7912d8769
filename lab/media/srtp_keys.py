"""Keys of encrypted media in session descriptions: ``a=crypto`` (RFC 4568), one suite."""

from __future__ import annotations

import base64
import binascii
from typing import Final, NamedTuple

SUITE: Final = b"AES_CM_128_HMAC_SHA1_80"
KEY_BYTES: Final = 30  # master key of 16 and master salt of 14 (RFC 4568 section 6.2)


class CryptoLine(NamedTuple):
    """``a=crypto``: its tag, and master key with salt."""

    tag: int
    key: bytes


def read_crypto(value: bytes) -> CryptoLine | None:
    """Read the text behind ``a=crypto:``; ``None`` for a suite or parameters that we can't use."""
    words = value.split()
    if len(words) != 3 or words[1] != SUITE or not words[0].isdigit() or len(words[0]) > 9:
        return None
    method, _, rest = words[2].partition(b":")
    parts = rest.split(b"|")
    if method.lower() != b"inline" or any(b":" in each for each in parts[1:]):  # with an MKI
        return None
    try:
        key = base64.b64decode(parts[0], validate=True)
    except (binascii.Error, ValueError):
        return None
    return CryptoLine(int(words[0]), key) if len(key) == KEY_BYTES else None


def crypto_line(tag: int, key: bytes) -> bytes:
    """The ``a=crypto`` line for a key, with its line ending."""
    return b"a=crypto:%d %b inline:%b\r\n" % (tag, SUITE, base64.b64encode(key))
