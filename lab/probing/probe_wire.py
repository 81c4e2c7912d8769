"""The messages between a probe client and its reflector, and how datagrams are identified.

The rules of this file:

- The control channel is compressed JSON on a port of its own: no router on the way recognises an address or a
  message in it. So its content arrives unchanged.
- Every probe carries a *mark* in several places, so that one lost mark leaves others. All messages that
  belong to a probe (its answers, the requests that it provokes) carry its mark, too.
- ``kind_of`` and ``marks_of`` accept any bytes and never raise.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import zlib
from typing import Any, Final

from siplab.lab.counting import number_of
from siplab.lab.wire.remembered import remembered

MAGIC: Final = b"\x00alp1"
LARGEST: Final = 1_000_000  # bytes of JSON: a small datagram must not decompress to a flood
_LONG: Final = 2048  # bytes of a datagram whose results are cached: probes are shorter
_MARK: Final = re.compile(rb"q[0-9a-f]{11}")
_CSEQ: Final = re.compile(rb"\ncseq\s*:\s*\d+\s+([A-Za-z0-9.!%*_+`'~-]+)", re.IGNORECASE)
_STUN_COOKIE: Final = b"\x21\x12\xa4\x42"


def new_mark(rng: random.Random) -> bytes:
    """A mark: 12 bytes of text, which also fit a STUN transaction id."""
    return b"q%011x" % rng.getrandbits(44)


def is_mark(text: bytes) -> bool:
    """Whether a text is exactly one mark."""
    return _MARK.fullmatch(text) is not None


@remembered(1024, _LONG)
def marks_of(payload: bytes) -> tuple[bytes, ...]:
    """All marks in a datagram, in order, each once."""
    return tuple(dict.fromkeys(_MARK.findall(payload)))


def find_marks(payload: bytes) -> list[bytes]:
    """The same for a stranger's datagram, without the cache."""
    return _MARK.findall(payload)


@remembered(1024, _LONG)
def kind_of(payload: bytes) -> str:
    """The kind of a datagram: ``INVITE``, ``200 INVITE``, ``empty lines``, ``STUN request``, ``other``."""
    if not payload.strip(b"\r\n"):
        return f"empty lines ({number_of(len(payload), 'byte')})"
    if payload[4:8] == _STUN_COOKIE:
        return "STUN response" if payload[0] & 1 else "STUN request"
    line = payload.lstrip(b"\r\n").partition(b"\n")[0].split()
    if len(line) >= 2 and line[0].upper().startswith(b"SIP/") and line[1].isdigit():
        found = _CSEQ.search(payload)
        return f"{_text(line[1])} {_text(found[1]) if found else '?'}"
    if len(line) >= 3 and line[-1].upper().startswith(b"SIP/"):
        return _text(line[0])
    return "other"


def _text(word: bytes) -> str:
    return word[:32].decode("latin-1").encode("unicode_escape").decode("ascii")


@remembered(4096, _LONG)
def digest(payload: bytes) -> str:
    """A short hash by which both sides name a datagram."""
    return hashlib.blake2b(payload, digest_size=6).hexdigest()


def pack(content: dict[str, Any]) -> bytes:
    """One datagram of the control channel."""
    return MAGIC + zlib.compress(json.dumps(content, separators=(",", ":")).encode(), 1)


def unpack(payload: bytes, largest: int = LARGEST) -> dict[str, Any] | None:
    """The content of a control datagram; ``None`` for anything else, or for more than ``largest`` bytes."""
    if payload[: len(MAGIC)] != MAGIC:
        return None
    try:
        reader = zlib.decompressobj()
        text = reader.decompress(payload[len(MAGIC) :], largest)
        content = json.loads(text)
    except (zlib.error, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
