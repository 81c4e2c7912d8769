"""Smaller screenshots: PNG (W3C, 2003) with 256 colours. A page has more only at the edges of letters."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import Final

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_COLOURS: Final = 256
_RGB, _RGBA, _INDEXED = 2, 6, 3  # PNG's colour types
Colour = tuple[int, int, int]


def small(data: bytes) -> bytes:
    """The same picture with at most 256 colours, the most frequent ones. Alpha is left out.

    Raises ``ValueError`` if the data is not an 8-bit RGB or RGBA PNG, as browsers make them.
    """
    width, height, pixels = _read(data)
    counted = Counter(pixels)
    palette = [colour for colour, _ in counted.most_common(_COLOURS)]
    numbers = {colour: palette.index(_nearest(colour, palette)) for colour in counted}
    rows = bytearray()
    for start in range(0, width * height, width):
        rows.append(0)  # no filter: filters don't help with a palette
        rows += bytes(numbers[each] for each in pixels[start : start + width])
    return b"".join(
        (
            SIGNATURE,
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, _INDEXED, 0, 0, 0)),
            chunk(b"PLTE", b"".join(bytes(each) for each in palette)),
            chunk(b"IDAT", zlib.compress(bytes(rows), 9)),
            chunk(b"IEND", b""),
        )
    )


def _nearest(colour: Colour, palette: list[Colour]) -> Colour:
    return min(palette, key=lambda each: sum((a - b) ** 2 for a, b in zip(each, colour, strict=True)))


def chunk(kind: bytes, data: bytes) -> bytes:
    """A part of a file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The parts of a file, each with its kind."""
    at = len(SIGNATURE)
    while at + 8 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        at += 12 + size


def _read(data: bytes) -> tuple[int, int, list[Colour]]:
    parts = list(chunks(data))
    header = next((body for kind, body in parts if kind == b"IHDR"), b"")
    if not data.startswith(SIGNATURE) or len(header) != 13:
        raise ValueError("no PNG")
    width, height, bits, kind, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    if bits != 8 or kind not in (_RGB, _RGBA) or interlaced:
        raise ValueError("no PNG of 8 bits with red, green and blue")
    size = 3 if kind == _RGB else 4
    raw = zlib.decompress(b"".join(body for kind, body in parts if kind == b"IDAT"))
    above = bytearray(width * size)
    pixels: list[Colour] = []
    for start in range(0, len(raw), width * size + 1):
        above = _unfiltered(raw[start], raw[start + 1 : start + 1 + width * size], above, size)
        pixels += zip(above[::size], above[1::size], above[2::size], strict=True)
    return width, height, pixels


def _unfiltered(kind: int, row: bytes, above: bytearray, size: int) -> bytearray:
    """A row's bytes without its filter (PNG section 9.2)."""
    found = bytearray(row)
    for at in range(len(found)):
        left = found[at - size] if at >= size else 0
        up = above[at]
        if kind == 1:
            found[at] = found[at] + left & 0xFF
        elif kind == 2:
            found[at] = found[at] + up & 0xFF
        elif kind == 3:
            found[at] = found[at] + (left + up) // 2 & 0xFF
        elif kind == 4:
            corner = above[at - size] if at >= size else 0
            distances = (abs(up - corner), abs(left - corner), abs(left + up - 2 * corner))
            found[at] = found[at] + (left, up, corner)[distances.index(min(distances))] & 0xFF
    return found
