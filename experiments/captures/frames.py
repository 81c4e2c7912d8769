"""Reads the frames of a capture file: pcap (Kuznetzov's too) or pcapng, perhaps compressed by gzip.

scapy's raw readers are used with a limit on bytes, because a small compressed file may unpack to a huge one.
"""

from __future__ import annotations

import gzip
import io
import logging
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from siplab.experiments.captures.left_out import LeftOut, LeftOutReason
from siplab.lab.errors import CapabilityError, UsageError

MOST_BYTES: Final = 1 << 30
"""How many bytes of one file are read, after decompression."""
MOST_FRAME: Final = 1 << 18  # bytes; tcpdump keeps no more of a frame
_MOST_AT_ONCE: Final = 1 << 24  # bytes; no block of a real file is longer
_LINK_TYPE: Final = 0xFFFF  # the bits above describe frame check sequences
_GZIP: Final = b"\x1f\x8b"
_DAMAGES: Final = (EOFError, OSError, ValueError, OverflowError, struct.error, zlib.error)


class CaptureError(UsageError):
    """The file is not a capture, or can't be read."""


class Frame(NamedTuple):
    """One frame. Its time is in seconds; its interface is empty if the file does not name one.

    ``link``: its LINKTYPE. ``size``: of the whole frame on the wire; ``data`` may be only its beginning.
    """

    now: float
    tap: str
    link: int
    data: bytes
    size: int


def frames(path: Path, left_out: LeftOut) -> Iterator[Frame]:
    """The frames of a file, in its order. Frames that can't be read are counted in ``left_out``.

    Raises ``CaptureError`` for a file that is no capture, ``CapabilityError`` if scapy is missing.
    """
    with _quiet_scapy(), _opened(path) as (file, magic):
        readers = _readers()
        if not magic:
            raise CaptureError(f"{path}: the file is empty")
        kind: Any = readers.Pcap
        if magic == readers.Pcapng.MAGIC:
            kind = readers.Pcapng
        elif magic in readers.Kuznetzov.MAGIC:
            kind = readers.Kuznetzov
        try:
            reader = kind(file)
        except (readers.Unreadable, *_DAMAGES):
            raise CaptureError(
                f"{path}: neither a pcap nor a pcapng file, or damaged where it begins"
            ) from None
        try:
            yield from (_pcapng if kind is readers.Pcapng else _pcap)(reader, file)
        except (readers.Unreadable, *_DAMAGES):
            left_out.count(LeftOutReason.FILE_CUT)
        if not file.left:
            left_out.count(LeftOutReason.TOO_LARGE)


class _Bounded(io.RawIOBase):
    """A file that gives no more than ``MOST_BYTES`` in all, and only a limited part at once."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.left = MOST_BYTES

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(min(size if size >= 0 else _MOST_AT_ONCE, _MOST_AT_ONCE, self.left))
        self.left -= len(data)
        return data


@contextmanager
def _opened(path: Path) -> Iterator[tuple[_Bounded, bytes]]:
    """The file, decompressed if need be, with its first four bytes."""
    try:
        raw = path.open("rb")
    except OSError as error:
        raise CaptureError(f"{path}: {error.strerror or error}") from None
    with raw:
        try:
            file: Any = gzip.GzipFile(fileobj=raw) if raw.read(2) == _GZIP else raw
            raw.seek(0)
            magic = file.read(4)
            file.seek(0)
        except _DAMAGES as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "damaged"
            raise CaptureError(f"{path}: {reason}") from None
        yield _Bounded(file), magic


@contextmanager
def _quiet_scapy() -> Iterator[None]:
    """Keeps scapy silent. What it would report is counted here, or does not concern reading."""
    logger = logging.getLogger("scapy")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _readers() -> Any:
    try:
        from siplab.experiments.captures import scapy_readers
    except ImportError as error:
        if not (error.name or "").startswith("scapy"):
            raise
        raise CapabilityError("reading captures needs scapy: pip install 'siplab[captures]'") from None
    return scapy_readers


def _pcap(reader: Any, file: _Bounded) -> Iterator[Frame]:
    unit = 1e-9 if reader.nano else 1e-6
    link = reader.linktype & _LINK_TYPE
    while True:
        before = file.left
        try:
            data, about = reader._read_packet(MOST_FRAME)
        except EOFError:
            if file.left != before:  # the file ends within a packet's header
                raise
            return
        if len(data) < min(about.caplen, MOST_FRAME):
            raise EOFError
        yield Frame(about.sec + about.usec * unit, "", link, data, max(about.wirelen, about.caplen))


def _pcapng(reader: Any, file: _Bounded) -> Iterator[Frame]:
    names: dict[bytes | None, str] = {None: ""}
    while True:
        before = file.left
        try:
            found = reader._read_block(MOST_FRAME)
        except EOFError:
            if file.left != before:  # the file ends within a block
                raise
            return
        if found is None:
            continue
        data, about = found
        if about.ifname not in names:
            names[about.ifname] = about.ifname.decode("utf-8", "backslashreplace")
        ticks = 0 if about.tshigh is None else about.tshigh << 32 | about.tslow
        yield Frame(
            ticks / about.tsresol, names[about.ifname], about.linktype, data, max(about.wirelen, len(data))
        )
