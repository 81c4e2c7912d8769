"""Reads a capture file: its IP packets, its SIP messages, and what could not be used.

Packets are given as hosts exchanged them: without link layers and tunnels, and with fragments put together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple

from siplab.experiments.captures.frames import Frame, frames
from siplab.experiments.captures.left_out import LeftOut, LeftOutReason
from siplab.experiments.captures.link_layers import packet_in, packet_in_tunnel
from siplab.experiments.captures.reassembly import Fragments
from siplab.experiments.captures.tcp_streams import TcpStreams
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint, MalformedPacketError, Packet
from siplab.lab.worlds.trace import looks_like_sip

MOST_PACKETS: Final = 2_000_000
_MOST_TUNNELS: Final = 4  # tunnels within tunnels


class Captured(NamedTuple):
    """One packet: its time, its tap (empty: the file does not say), and its bytes from the IP header on."""

    now: float
    tap: str
    packet: bytes


class Datagram(NamedTuple):
    """One UDP datagram, or one SIP message of a TCP stream; then ``dscp`` (RFC 2474) and ``ttl`` are 0."""

    now: float
    tap: str
    source: Endpoint
    destination: Endpoint
    payload: bytes
    transport: Literal["udp", "tcp"] = "udp"
    dscp: int = 0
    ttl: int = 0


@dataclass
class Capture:
    """A capture file, read.

    ``packets``: in the file's order. ``messages``: SIP over UDP and TCP, by the time of their last byte.
    ``left_out``: what in the file is not in ``packets``, or in no message.
    """

    path: Path
    packets: list[Captured] = field(default_factory=list)
    messages: list[Datagram] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=LeftOut)

    def lines(self) -> list[str]:
        """What was left out, in words."""
        return [f"{self.path.name}: left out: {each}" for each in self.left_out.lines()]


def read(path: Path) -> Capture:
    """Read a capture file. Raises ``CaptureError`` with file and reason."""
    reading = _Reading(Capture(path))
    for frame in frames(path, reading.capture.left_out):
        if len(reading.capture.packets) >= MOST_PACKETS:
            reading.capture.left_out.count(LeftOutReason.TOO_LARGE)
            break
        reading.take(frame)
    return reading.done()


def from_packets(path: Path, packets: Iterable[Captured]) -> Capture:
    """The capture that reading a file with these packets would give."""
    reading = _Reading(Capture(path))
    for each in packets:
        reading.packet(each)
    return reading.done()


class _Reading:
    """A capture while it is read."""

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self._fragments: dict[str, Fragments] = {}
        self._streams = TcpStreams()

    def take(self, frame: Frame) -> None:
        found = packet_in(frame.link, frame.data)
        if isinstance(found, LeftOutReason):
            self.capture.left_out.count(found)
            return
        self.packet(Captured(frame.now, frame.tap, found), cut=frame.size > len(frame.data))

    def packet(self, captured: Captured, *, cut: bool = False) -> None:
        """Take a packet. ``cut``: the file does not have all its bytes."""
        try:
            self._packet(*captured)
        except MalformedPacketError:
            self.capture.left_out.count(LeftOutReason.CUT_BY_SNAPLEN if cut else LeftOutReason.MALFORMED)

    def done(self) -> Capture:
        left_out = self.capture.left_out
        for each in self._fragments.values():
            left_out.count(LeftOutReason.FRAGMENTS_INCOMPLETE, each.waiting)
        found = self._streams.messages(left_out)
        self.capture.messages += [Datagram(*each, transport="tcp") for each in found]
        self.capture.messages.sort(key=lambda each: each.now)
        return self.capture

    def _packet(self, now: float, tap: str, data: bytes, depth: int = 0) -> None:
        if (
            data[2:4] == b"\0\0" and data[0] >> 4 == 4
        ):  # segmentation was left to the network card (TSO), so the length is missing
            data = data[:2] + min(len(data), ip.MAX_PACKET).to_bytes(2, "big") + data[4:]
        packet = ip.parse(data)
        if Fragments.is_fragment(packet):
            whole = self._fragments.setdefault(tap, Fragments()).add(packet, data, now)
            if whole is None:
                return
            data, packet = whole, ip.parse(whole)
        inner = packet_in_tunnel(packet) if depth < _MOST_TUNNELS else None
        if isinstance(inner, bytes):
            self._packet(now, tap, inner, depth + 1)
            return
        if inner is not None:
            self.capture.left_out.count(inner)
        self.capture.packets.append(Captured(now, tap, data))
        if packet.protocol == ip.UDP and packet.transport:
            self._datagram(now, tap, packet)
        elif packet.protocol == ip.TCP and packet.transport:
            self._streams.add(tap, packet, now)

    def _datagram(self, now: float, tap: str, packet: Packet) -> None:
        if looks_like_sip(packet.payload):
            self.capture.messages.append(
                Datagram(
                    now,
                    tap,
                    packet.source,
                    packet.destination,
                    packet.payload,
                    "udp",
                    _dscp(packet),
                    packet.ttl,
                )
            )


def _dscp(packet: Packet) -> int:
    return (
        packet.header[1] >> 2 if packet.version == 4 else int.from_bytes(packet.header[:2], "big") >> 6 & 0x3F
    )
