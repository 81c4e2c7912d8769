"""Capture files of every kind, written byte by byte: what readers are tested with."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from typing import Final

from siplab.lab.wire import ip
from siplab.lab.wire.fragments import fragmented
from siplab.lab.wire.ip import Endpoint

PHONE, SERVER = Endpoint("192.168.1.20", 5060), Endpoint("198.51.100.10", 5060)
MESSAGE: Final = (
    b"REGISTER sip:198.51.100.10 SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.20:5060;branch=z9hG4bKa1b2c3;rport\r\n"
    b"From: <sip:alice@198.51.100.10>;tag=a\r\nTo: <sip:alice@198.51.100.10>\r\nCall-ID: c1@192.168.1.20\r\n"
    b"CSeq: 1 REGISTER\r\nMax-Forwards: 70\r\n"
    b"Contact: <sip:alice@192.168.1.20:5060>\r\nContent-Length: 0\r\n\r\n"
)
PACKET: Final = ip.udp(PHONE, SERVER, MESSAGE, dont_fragment=False)
ETHERNET, MACS = 1, b"\2\0\0\0\0\1\2\0\0\0\0\2"


def kind_of(packet: bytes) -> bytes:
    return b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd"


def pppoe(packet: bytes) -> bytes:
    protocol = b"\x00\x21" if packet[0] >> 4 == 4 else b"\x00\x57"
    return struct.pack("!BBHH", 0x11, 0, 1, len(packet) + 2) + protocol + packet


def ether(packet: bytes, rng: random.Random) -> bytes:
    """Ethernet, with up to three VLAN tags, and PPPoE or not."""
    tags = b"".join(rng.choice((b"\x81\x00", b"\x88\xa8")) + b"\0\7" for _ in range(rng.randrange(4)))
    if rng.random() < 0.4:
        return MACS + tags + b"\x88\x64" + pppoe(packet)
    return MACS + tags + kind_of(packet) + packet


def ppp(packet: bytes) -> bytes:
    return b"\xff\x03" + (b"\x00\x21" if packet[0] >> 4 == 4 else b"\x00\x57") + packet


LINKS: Final[dict[int, Callable[[bytes, random.Random], bytes]]] = {
    ETHERNET: ether,
    0: lambda packet, rng: struct.pack("<I", 2 if packet[0] >> 4 == 4 else 24) + packet,
    9: lambda packet, rng: ppp(packet),
    101: lambda packet, rng: packet,
    108: lambda packet, rng: struct.pack(">I", 2 if packet[0] >> 4 == 4 else 24) + packet,
    113: lambda packet, rng: struct.pack("!HHH6s2x", 4, 1, 6, MACS[:6]) + kind_of(packet) + packet,
    276: lambda packet, rng: kind_of(packet) + struct.pack("!2xIHBB8s", 1, 1, 4, 6, MACS[:6]) + packet,
    # radiotap: eight bytes of it, then a frame of 802.11 with LLC and SNAP
    127: lambda packet, rng: (
        struct.pack("<BBHI", 0, 0, 8, 0)
        + b"\x08\x01\0\0"
        + MACS
        + MACS[:6]
        + b"\0\0\xaa\xaa\3\0\0\0"
        + kind_of(packet)
        + packet
    ),
}


def ipv4(protocol: int, payload: bytes) -> bytes:
    """A packet between two routers."""
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 7, 0, 64, protocol, 0)
    addresses = ip.pack_ip("203.0.113.1") + ip.pack_ip("203.0.113.2")
    return head[:10] + ip.checksum(head + addresses).to_bytes(2, "big") + addresses + payload


def tunnelled(packet: bytes, rng: random.Random) -> bytes:
    """In a tunnel of some kind."""
    match rng.randrange(4):
        case 0:
            return ipv4(4 if packet[0] >> 4 == 4 else 41, packet)
        case 1:
            return ipv4(47, b"\0\0" + kind_of(packet) + packet)
        case 2:  # with a key, around Ethernet
            return ipv4(47, b"\x20\0\x65\x58" + b"\0\0\0\1" + ether(packet, rng))
        case _:
            ends = Endpoint("203.0.113.1", 50000), Endpoint("203.0.113.2", 4789)
            return ip.udp(*ends, b"\x08\0\0\0\0\0\1\0" + ether(packet, rng), dont_fragment=False)


def fragments(packet: bytes, size: int) -> list[bytes]:
    """The packet in pieces of ``size`` bytes (a multiple of 8) of what it carries."""
    if packet[0] >> 4 == 4:
        return fragmented(packet, 20 + size)
    body = packet[40:]
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    found = []
    for number, piece in enumerate(pieces):
        more = number + 1 < len(pieces)
        head = struct.pack("!BBHI", packet[6], 0, number * size | more, 77)
        found.append(packet[:4] + struct.pack("!H", 8 + len(piece)) + b"\x2c" + packet[7:40] + head + piece)
    return found


def pcap(
    frames: Sequence[bytes], link: int, *, order: str = "<", nano: bool = False, snaplen: int = 0
) -> bytes:
    """A classic file."""
    rows = [struct.pack(order + "IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, 65535, link)]
    for number, frame in enumerate(frames):
        kept = frame[:snaplen] if snaplen else frame
        rows.append(struct.pack(order + "IIII", 1_700_000_000 + number, 0, len(kept), len(frame)) + kept)
    return b"".join(rows)


def pcapng(frames: Sequence[tuple[int, bytes]], *, order: str = "<") -> bytes:
    """A file of one section for each frame, which has two interfaces: the frame's, and before it another."""

    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        size = struct.pack(order + "I", len(body) + 12)
        return struct.pack(order + "I", kind) + size + body + size

    data = b""
    for number, (link, frame) in enumerate(frames):
        data += block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
        data += block(1, struct.pack(order + "HHI", 147, 0, 0)) + block(
            1, struct.pack(order + "HHI", link, 0, 0)
        )
        ticks = (1_700_000_000 + number) * 1_000_000
        head = struct.pack(order + "IIIII", 1, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame))
        data += block(6, head + frame)
    return data
