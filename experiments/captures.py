"""Reading packet captures: pcap and pcapng, as tcpdump, Wireshark and this lab write them.

The rules of this file:

- What it gives are IP packets with their times in seconds, and the tap's name where the file has one.
- Frames of Ethernet (VLANs too), Linux's "any" interface (both versions) and raw IP are understood; others,
and
  frames without IP, are skipped. A file that is neither format raises ``CaptureError``; one that is cut short
  gives what is whole in it.
- Datagrams that came in fragments are put together.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from siplab.lab.errors import UsageError
from siplab.lab.gateway.fragments import Reassembler
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint, MalformedPacketError

_ETHERNET, _RAW, _SLL, _SLL2, _IPV4, _IPV6 = 1, 101, 113, 276, 228, 229
_SECTION, _INTERFACE, _SIMPLE, _ENHANCED = 0x0A0D0D0A, 1, 3, 6
_IF_NAME, _IF_TSRESOL = 2, 9
_IP_TYPES: Final = (b"\x08\x00", b"\x86\xdd")
_VLAN_TYPES: Final = (b"\x81\x00", b"\x88\xa8")
# Magic number -> byte order and fraction of a second (pcap: micro- or nanoseconds).
_PCAP: Final = {
    b"\xd4\xc3\xb2\xa1": ("<", 1e-6),
    b"\xa1\xb2\xc3\xd4": (">", 1e-6),
    b"\x4d\x3c\xb2\xa1": ("<", 1e-9),
    b"\xa1\xb2\x3c\x4d": (">", 1e-9),
}


class CaptureError(UsageError):
    """The file is no capture that can be read."""


class Captured(NamedTuple):
    """One packet: when, at which tap (empty: the file does not say), and its bytes from the IP header on."""

    now: float
    tap: str
    packet: bytes


class Datagram(NamedTuple):
    """One whole UDP datagram of a capture."""

    now: float
    tap: str
    source: Endpoint
    destination: Endpoint
    payload: bytes


def read(path: Path) -> list[Captured]:
    """The IP packets of a capture file, in its order. Raises ``CaptureError`` with file and reason."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CaptureError(f"{path}: {error.strerror}") from None
    if data[:4] == struct.pack("<I", _SECTION):
        return list(_pcapng(data))
    if data[:4] in _PCAP:
        return list(_pcap(data))
    raise CaptureError(f"{path}: neither a pcap nor a pcapng file")


def datagrams(packets: list[Captured]) -> Iterator[Datagram]:
    """The UDP datagrams of a capture, those in fragments too (each tap by itself)."""
    halves: dict[str, Reassembler] = {}
    for now, tap, data in packets:
        try:
            packet = ip.parse(data)
            if packet.is_fragment:
                whole = halves.setdefault(tap, Reassembler()).add(packet, data, now)
                if whole is None:
                    continue
                packet = ip.parse(whole)
        except MalformedPacketError:
            continue
        if packet.protocol == ip.UDP and packet.transport:
            yield Datagram(now, tap, packet.source, packet.destination, packet.payload)


def _pcap(data: bytes) -> Iterator[Captured]:
    order, unit = _PCAP[data[:4]]
    if len(data) < 24:
        return
    link = struct.unpack_from(order + "I", data, 20)[0] & 0x0FFFFFFF
    at = 24
    while at + 16 <= len(data):
        seconds, fraction, size, _ = struct.unpack_from(order + "IIII", data, at)
        frame = data[at + 16 : at + 16 + size]
        at += 16 + size
        packet = _ip_of(frame, link)
        if len(frame) == size and packet:
            yield Captured(seconds + fraction * unit, "", packet)


def _pcapng(data: bytes) -> Iterator[Captured]:
    order = "<"
    interfaces: list[tuple[int, str, float]] = []
    at = 0
    while at + 12 <= len(data):
        if data[at : at + 4] == struct.pack("<I", _SECTION):
            order = "<" if data[at + 8 : at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            interfaces = []
        kind, size = struct.unpack_from(order + "II", data, at)
        if size < 12 or at + size > len(data):
            return
        body = data[at + 8 : at + size - 4]
        at += size
        if kind == _INTERFACE and len(body) >= 8:
            interfaces.append(_interface(body, order))
        elif kind == _ENHANCED and len(body) >= 20:
            number, high, low, length = struct.unpack_from(order + "IIII", body)
            if number < len(interfaces):
                link, name, unit = interfaces[number]
                packet = _ip_of(body[20 : 20 + length], link)
                if packet:
                    yield Captured((high << 32 | low) * unit, name, packet)
        elif kind == _SIMPLE and len(body) >= 4 and interfaces:
            length = struct.unpack_from(order + "I", body)[0]
            packet = _ip_of(body[4 : 4 + length], interfaces[0][0])
            if packet:
                yield Captured(0.0, interfaces[0][1], packet)


def _interface(body: bytes, order: str) -> tuple[int, str, float]:
    """Link type, name and unit of time of an interface description."""
    name, unit, at = "", 1e-6, 8
    while at + 4 <= len(body):
        code, length = struct.unpack_from(order + "HH", body, at)
        value = body[at + 4 : at + 4 + length]
        at += 4 + (length + 3) // 4 * 4
        if code == _IF_NAME:
            name = value.decode("utf-8", "backslashreplace")
        elif code == _IF_TSRESOL and value:
            unit = 2.0 ** -(value[0] & 0x7F) if value[0] & 0x80 else 10.0 ** -value[0]
        elif not code:
            break
    return struct.unpack_from(order + "H", body)[0], name, unit


def _ip_of(frame: bytes, link: int) -> bytes:
    """The IP packet in a frame; empty when there is none."""
    if link == _ETHERNET:
        at = 12
        while frame[at : at + 2] in _VLAN_TYPES:
            at += 4
        return frame[at + 2 :] if frame[at : at + 2] in _IP_TYPES else b""
    if link == _SLL:
        return frame[16:] if frame[14:16] in _IP_TYPES else b""
    if link == _SLL2:
        return frame[20:] if frame[:2] in _IP_TYPES else b""
    return frame if link in (_RAW, _IPV4, _IPV6) and frame[:1] and frame[0] >> 4 in (4, 6) else b""
