"""scapy's raw readers of capture files, with additions. Imported only when a capture is read."""

from __future__ import annotations

from typing import Any, Final

from scapy.error import Scapy_Exception
from scapy.utils import RawPcapNgReader, RawPcapReader

Pcap: Final[Any] = RawPcapReader
Unreadable: Final[Any] = Scapy_Exception


class Kuznetzov(RawPcapReader):
    """pcap with eight more bytes before each packet, as patched versions of libpcap once wrote it."""

    MAGIC: Final = (b"\x34\xcd\xb2\xa1", b"\xa1\xb2\xcd\x34")

    def __init__(self, filename: str, file: Any, magic: bytes) -> None:
        super().__init__(filename, file, b"\xd4\xc3\xb2\xa1" if magic[0] == 0x34 else b"\xa1\xb2\xc3\xd4")

    def _read_packet(self, size: int = 0) -> tuple[bytes, Any]:
        data, about = super()._read_packet(size)
        return data[8:] + self.f.read(8), about


class Pcapng(RawPcapNgReader):
    """pcapng in which later sections have interfaces of their own."""

    MAGIC: Final = b"\x0a\x0d\x0d\x0a"

    def _read_block_shb(self) -> None:
        self.interfaces.clear()
        super()._read_block_shb()
