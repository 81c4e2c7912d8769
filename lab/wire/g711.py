"""G.711 mu-law (ITU-T G.711, RTP payload type 0): 16-bit samples to bytes and back, by table."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Final

SILENCE: Final = 0xFF

_BIAS: Final = 0x84
_CLIP: Final = 32635


def _encode(sample: int) -> int:
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), _CLIP) + _BIAS
    exponent = magnitude.bit_length() - 8
    return ~(sign | exponent << 4 | (magnitude >> (exponent + 3)) & 0x0F) & 0xFF


def _decode(code: int) -> int:
    code = ~code & 0xFF
    magnitude = ((code & 0x0F) << 3) + _BIAS << ((code >> 4) & 0x07)
    return _BIAS - magnitude if code & 0x80 else magnitude - _BIAS


@cache
def _encoding() -> bytes:
    return bytes(_encode(sample) for sample in range(-32768, 32768))


_DECODING: Final = tuple(_decode(code) for code in range(256))


def encode(samples: Iterable[int]) -> bytes:
    """One byte for each 16-bit sample; samples beyond 16 bits are clipped."""
    table = _encoding()
    return bytes([table[max(-32768, min(32767, sample)) + 32768] for sample in samples])


def decode(data: bytes) -> list[int]:
    """The sample of each byte."""
    return [_DECODING[code] for code in data]
