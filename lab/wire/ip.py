"""IPv4, IPv6, UDP, TCP and ICMP packets as bytes: build UDP and TCP, take all apart, check.

Everything here is a function from bytes to bytes. ``parse`` reads a packet into a
``Packet``; ``bytes(packet)`` writes it with right lengths and checksums. Options and
extension headers travel untouched. Hot paths (the NAT) patch bytes instead and keep the
checksum by RFC 1624's update, see ``checksum_delta``.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass, replace
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Final, NamedTuple

from siplab.lab.counting import number_of

ICMP: Final = 1
TCP: Final = 6
UDP: Final = 17
ICMPV6: Final = 58
PROTOCOL_NAMES: Final = {ICMP: "icmp", TCP: "tcp", UDP: "udp", ICMPV6: "icmpv6"}

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10

MAX_PACKET: Final = 65535
DEFAULT_TTL: Final = 64
DEFAULT_MTU: Final = 1500
MIN_IPV6_MTU: Final = 1280

_IPV6_EXTENSIONS: Final = frozenset({0, 43, 60})  # hop-by-hop, routing, destination options


class Endpoint(NamedTuple):
    """A transport address: IP address as text, port as a number (0 where there is none)."""

    ip: str
    port: int

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"


# RFC 1918, RFC 6598 (carrier-grade NAT), RFC 7335 (beside IPv6), RFC 4193.
_PRIVATE: Final = [
    ipaddress.ip_network(each)
    for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "192.0.0.0/29", "fc00::/7")
]


@lru_cache(maxsize=4096)
def is_private(ip: str) -> bool:
    """Whether an address can be used behind a NAT only. Raises ``ValueError`` if it is no address."""
    address = ipaddress.ip_address(ip)
    return any(address.version == each.version and address in each for each in _PRIVATE)


class MalformedPacketError(ValueError):
    """The bytes are not an IP packet that can be taken apart."""


@lru_cache(maxsize=4096)
def pack_ip(text: str) -> bytes:
    """Address text to 4 or 16 bytes. Raises ``OSError`` when it is no address."""
    return inet_pton(AF_INET6 if ":" in text else AF_INET, text)


@lru_cache(maxsize=4096)
def unpack_ip(packed: bytes) -> str:
    """4 or 16 bytes to address text."""
    return inet_ntop(AF_INET if len(packed) == 4 else AF_INET6, packed)


def is_address(text: str) -> bool:
    """Whether ``text`` is an IPv4 or IPv6 address, without brackets or zone."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def checksum(data: bytes) -> int:
    """Internet checksum (RFC 1071) as the number that goes into the header.

    A big integer modulo 2**16-1 is the one's complement sum, and by far the fastest way
    in Python.
    """
    if len(data) & 1:
        data += b"\0"
    total = int.from_bytes(data, "big")
    if not total:
        return 0xFFFF
    return 0xFFFF - (total % 0xFFFF or 0xFFFF)


def transport_checksum(protocol: int, src: bytes, dst: bytes, segment: bytes) -> int:
    """Checksum of a UDP, TCP or ICMPv6 segment under its pseudo-header (RFC 768, 9293, 8200 8.1).

    ``segment`` has its checksum field zeroed. UDP never gives 0, which means "none" there.
    """
    if len(src) == 4:
        pseudo = src + dst + struct.pack("!BBH", 0, protocol, len(segment))
    else:
        pseudo = src + dst + struct.pack("!IHBB", len(segment), 0, 0, protocol)
    value = checksum(pseudo + segment)
    return 0xFFFF if protocol == UDP and value == 0 else value


def checksum_delta(old: bytes, new: bytes) -> int:
    """What ``update_checksum`` adds when ``old`` bytes become ``new`` (even lengths; RFC 1624)."""
    return (int.from_bytes(old, "big") - int.from_bytes(new, "big")) % 0xFFFF


def update_checksum(value: int, delta: int) -> int:
    """A header checksum after a change: RFC 1624's HC' = ~(~HC + ~m + m')."""
    return (value + delta) % 0xFFFF


@dataclass(frozen=True, slots=True)
class Packet:
    """One IP packet, taken apart.

    ``payload`` is what follows the transport header. For a fragment with a non-zero
    offset, or an unknown protocol, ``transport`` is empty and ``payload`` is all that follows
    the IP header. ``header`` keeps the IP header bytes (options and extension headers
    included) and ``transport`` those of the transport header (TCP options included).
    """

    version: int
    protocol: int
    src: str
    dst: str
    sport: int  # for ICMP echo: the identifier, in both ports
    dport: int
    header: bytes
    transport: bytes
    payload: bytes

    @property
    def source(self) -> Endpoint:
        return Endpoint(self.src, self.sport)

    @property
    def destination(self) -> Endpoint:
        return Endpoint(self.dst, self.dport)

    @property
    def ttl(self) -> int:
        return self.header[8] if self.version == 4 else self.header[7]

    @property
    def identification(self) -> int:
        """IPv4 Identification (of an IPv6 packet: 0)."""
        return int.from_bytes(self.header[4:6], "big") if self.version == 4 else 0

    @property
    def dont_fragment(self) -> bool:
        return self.version == 6 or bool(self.header[6] & 0x40)

    @property
    def more_fragments(self) -> bool:
        return self.version == 4 and bool(self.header[6] & 0x20)

    @property
    def fragment_offset(self) -> int:
        """Offset of an IPv4 fragment in bytes; 0 for a whole packet."""
        if self.version == 6:
            return 0
        return (int.from_bytes(self.header[6:8], "big") & 0x1FFF) * 8

    @property
    def is_fragment(self) -> bool:
        return self.more_fragments or self.fragment_offset > 0

    @property
    def flags(self) -> int:
        """TCP flags; 0 for other protocols."""
        return self.transport[13] if self.protocol == TCP and self.transport else 0

    @property
    def seq(self) -> int:
        return int.from_bytes(self.transport[4:8], "big")

    @property
    def ack(self) -> int:
        return int.from_bytes(self.transport[8:12], "big")

    @property
    def icmp_type(self) -> int:
        return self.transport[0] if self.transport else -1

    @property
    def icmp_code(self) -> int:
        return self.transport[1] if self.transport else -1

    def with_(
        self,
        *,
        src: str | None = None,
        dst: str | None = None,
        sport: int | None = None,
        dport: int | None = None,
        payload: bytes | None = None,
        ttl: int | None = None,
        dont_fragment: bool | None = None,
        seq: int | None = None,
        ack: int | None = None,
        flags: int | None = None,
    ) -> Packet:
        """A copy with some parts changed; its ``bytes`` have right lengths and checksums."""
        header, transport = self.header, self.transport
        if ttl is not None:
            at = 8 if self.version == 4 else 7
            header = header[:at] + bytes((ttl,)) + header[at + 1 :]
        if dont_fragment is not None and self.version == 4:
            bit = 0x40 if dont_fragment else 0
            header = header[:6] + bytes((header[6] & ~0x40 | bit,)) + header[7:]
        if self.protocol == TCP and transport:
            if seq is not None:
                transport = transport[:4] + (seq & 0xFFFFFFFF).to_bytes(4, "big") + transport[8:]
            if ack is not None:
                transport = transport[:8] + (ack & 0xFFFFFFFF).to_bytes(4, "big") + transport[12:]
            if flags is not None:
                transport = transport[:13] + bytes((flags,)) + transport[14:]
        return replace(
            self,
            src=self.src if src is None else src,
            dst=self.dst if dst is None else dst,
            sport=self.sport if sport is None else sport,
            dport=self.dport if dport is None else dport,
            payload=self.payload if payload is None else payload,
            header=header,
            transport=transport,
        )

    def __bytes__(self) -> bytes:
        """Wire form. Raises ``MalformedPacketError`` when it would not fit in a packet."""
        src, dst = pack_ip(self.src), pack_ip(self.dst)
        size = len(self.header) + len(self.transport) + len(self.payload)
        if size - (0 if self.version == 4 else 40) > MAX_PACKET:
            raise MalformedPacketError(f"a packet of {size} bytes is larger than IP allows")
        segment = self._segment(src, dst)
        if self.version == 4:
            header = self.header[:2] + size.to_bytes(2, "big") + self.header[4:10] + b"\0\0" + src + dst
            header += self.header[20:]
            return header[:10] + checksum(header).to_bytes(2, "big") + header[12:] + segment
        payload_length = size - 40
        return (
            self.header[:4]
            + payload_length.to_bytes(2, "big")
            + self.header[6:8]
            + src
            + dst
            + self.header[40:]
            + segment
        )

    def _segment(self, src: bytes, dst: bytes) -> bytes:
        head = self.transport
        if not head:
            return self.payload
        if self.is_fragment:  # length and checksum are of the whole datagram: leave the sender's
            if self.protocol in (UDP, TCP):
                head = struct.pack("!HH", self.sport, self.dport) + head[4:]
            elif _is_echo(self.protocol, head[0]):
                head = head[:4] + self.sport.to_bytes(2, "big") + head[6:]
            return head + self.payload
        if self.protocol == UDP:
            ports = struct.pack("!HHH", self.sport, self.dport, 8 + len(self.payload))
            if head[6:8] == b"\0\0" and self.version == 4:  # the sender asked for no checksum
                return ports + b"\0\0" + self.payload
            value = transport_checksum(UDP, src, dst, ports + b"\0\0" + self.payload)
            return ports + value.to_bytes(2, "big") + self.payload
        if self.protocol == TCP:
            head = struct.pack("!HH", self.sport, self.dport) + head[4:16] + b"\0\0" + head[18:]
            value = transport_checksum(TCP, src, dst, head + self.payload)
            return head[:16] + value.to_bytes(2, "big") + head[18:] + self.payload
        if self.sport or _is_echo(self.protocol, head[0]):
            head = head[:4] + self.sport.to_bytes(2, "big") + head[6:]
        head = head[:2] + b"\0\0" + head[4:]
        if self.protocol == ICMPV6:
            value = transport_checksum(ICMPV6, src, dst, head + self.payload)
        else:
            value = checksum(head + self.payload)
        return head[:2] + value.to_bytes(2, "big") + head[4:] + self.payload


def _is_echo(protocol: int, icmp_type: int) -> bool:
    return icmp_type in ((8, 0) if protocol == ICMP else (128, 129))


def parse(data: bytes, *, quoted: bool = False) -> Packet:
    """Take one IP packet apart. Trailing bytes beyond its length are dropped.

    ``quoted`` reads the truncated packet inside an ICMP error: its length fields may say more
    than is there. Raises ``MalformedPacketError`` for bytes that are no sound packet.
    """
    version = data[0] >> 4 if data else 0
    if version == 4 and len(data) >= 20:
        header_length = (data[0] & 0x0F) * 4
        total = int.from_bytes(data[2:4], "big")
        if header_length < 20 or total < header_length or len(data) < header_length:
            raise MalformedPacketError("IPv4 header or total length out of range")
        if total > len(data) and not quoted:
            raise MalformedPacketError(f"IPv4 packet of {number_of(total, 'byte')} cut to {len(data)}")
        protocol = data[9]
        src, dst = unpack_ip(data[12:16]), unpack_ip(data[16:20])
        offset = int.from_bytes(data[6:8], "big") & 0x1FFF
        rest = data[header_length:total]
    elif version == 6 and len(data) >= 40:
        total = 40 + int.from_bytes(data[4:6], "big")
        if total > len(data) and not quoted:
            raise MalformedPacketError(f"IPv6 packet of {number_of(total, 'byte')} cut to {len(data)}")
        protocol, header_length = data[6], 40
        while protocol in _IPV6_EXTENSIONS and len(data) >= header_length + 8:
            protocol, header_length = data[header_length], header_length + (data[header_length + 1] + 1) * 8
        src, dst = unpack_ip(data[8:24]), unpack_ip(data[24:40])
        offset = 0
        rest = data[header_length:total]
    else:
        raise MalformedPacketError("not an IPv4 or IPv6 packet")
    head_length, sport, dport = 0, 0, 0
    if not offset:
        first_of_several = version == 4 and bool(data[6] & 0x20)  # it may end within the transport header
        head_length, sport, dport = _transport(protocol, rest, quoted or first_of_several)
    return Packet(
        version,
        protocol,
        src,
        dst,
        sport,
        dport,
        data[:header_length],
        rest[:head_length],
        rest[head_length:],
    )


def _transport(protocol: int, rest: bytes, quoted: bool) -> tuple[int, int, int]:
    """Length of the transport header and the two ports."""
    if protocol == UDP and len(rest) >= 8:
        sport, dport, length = struct.unpack_from("!HHH", rest)
        if not quoted and length < 8:
            raise MalformedPacketError("UDP length below 8")
        return 8, sport, dport
    if protocol == TCP and len(rest) >= (8 if quoted else 20):
        sport, dport = struct.unpack_from("!HH", rest)
        length = (rest[12] >> 4) * 4 if len(rest) > 12 else 8
        if length < 20 or length > len(rest):
            if not quoted:
                raise MalformedPacketError("TCP data offset out of range")
            length = min(len(rest), 20)
        return length, sport, dport
    if protocol in (ICMP, ICMPV6) and len(rest) >= 8:
        identifier = int.from_bytes(rest[4:6], "big") if _is_echo(protocol, rest[0]) else 0
        return 8, identifier, identifier
    if protocol in (UDP, TCP, ICMP, ICMPV6) and not quoted:
        raise MalformedPacketError(f"truncated {PROTOCOL_NAMES[protocol]} header")
    return 0, 0, 0


# -- building ------------------------------------------------------------------------------


def ip_header(src: str, protocol: int, ttl: int, dont_fragment: bool) -> tuple[int, bytes]:
    """The IP version of ``src``, and a header without lengths, addresses and checksum."""
    if ":" in src:
        return 6, bytes((0x60, 0, 0, 0, 0, 0, protocol, ttl)) + bytes(32)
    flags = 0x40 if dont_fragment else 0
    return 4, bytes((0x45, 0, 0, 0, 0, 0, flags, 0, ttl, protocol)) + bytes(10)


def udp(
    source: Endpoint,
    destination: Endpoint,
    payload: bytes,
    *,
    ttl: int = DEFAULT_TTL,
    dont_fragment: bool = True,
) -> bytes:
    """A UDP datagram in one IP packet, as an unconnected Linux socket sends it (DF set, id 0)."""
    if ":" not in source.ip and len(payload) <= MAX_PACKET - 28:
        return _udp4(source, destination, payload, ttl, 0x4000 if dont_fragment else 0)
    version, header = ip_header(source.ip, UDP, ttl, dont_fragment)
    # A non-zero checksum field asks ``Packet`` to compute one.
    return bytes(
        Packet(
            version,
            UDP,
            source.ip,
            destination.ip,
            source.port,
            destination.port,
            header,
            b"\xff" * 8,
            payload,
        )
    )


def _udp4(source: Endpoint, destination: Endpoint, payload: bytes, ttl: int, flags: int) -> bytes:
    """The common case of ``udp``, in as few steps as Python allows: most simulated packets are made here."""
    addresses = pack_ip(source.ip) + pack_ip(destination.ip)
    length = 8 + len(payload)
    ports = struct.pack("!HHH", source.port, destination.port, length)
    # The length is in the pseudo-header and in the UDP header, so the sum has it twice.
    pseudo = b"".join((addresses, b"\0\x11", ports[4:], ports, payload))
    udp_sum = checksum(pseudo) or 0xFFFF
    head = struct.pack("!BBHHHBB", 0x45, 0, 20 + length, 0, flags, ttl, UDP)
    ip_sum = checksum(head + addresses)
    return b"".join((head, ip_sum.to_bytes(2, "big"), addresses, ports, udp_sum.to_bytes(2, "big"), payload))


def tcp(
    source: Endpoint,
    destination: Endpoint,
    payload: bytes = b"",
    *,
    seq: int = 0,
    ack: int = 0,
    flags: int = ACK,
    window: int = 65535,
    options: bytes = b"",
    ttl: int = DEFAULT_TTL,
    dont_fragment: bool = True,
) -> bytes:
    """A TCP segment; ``options`` must be a multiple of four bytes."""
    version, header = ip_header(source.ip, TCP, ttl, dont_fragment)
    offset = (20 + len(options)) // 4 << 4
    head = struct.pack("!HHIIBBHHH", 0, 0, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, offset, flags, window, 0, 0)
    return bytes(
        Packet(
            version,
            TCP,
            source.ip,
            destination.ip,
            source.port,
            destination.port,
            header,
            head + options,
            payload,
        )
    )


# -- hops and marks ----------------------------------------------------------------------


def decrement_ttl(data: bytes, hops: int = 1) -> bytes:
    """The packet after some hops. The caller ensures that its TTL or hop limit is above ``hops``."""
    if data[0] >> 4 == 6:
        return data[:7] + bytes((data[7] - hops,)) + data[8:]
    value = ((data[10] << 8 | data[11]) + (hops << 8)) % 0xFFFF  # RFC 1624
    patch = bytes((data[8] - hops, data[9], value >> 8, value & 0xFF))
    return b"".join((data[:8], patch, data[12:]))


def dscp_of(data: bytes) -> int:
    """The DSCP of a whole packet (RFC 2474), 0 to 63."""
    if data[0] >> 4 == 6:
        return (data[0] << 8 | data[1]) >> 6 & 0x3F
    return data[1] >> 2


def marked(data: bytes, dscp: int) -> bytes:
    """A whole packet with another DSCP (RFC 2474), 0 to 63; ECN in the same octet stays (RFC 3168)."""
    if data[0] >> 4 == 6:
        word = int.from_bytes(data[:2], "big") & 0xF03F | dscp << 6
        return word.to_bytes(2, "big") + data[2:]
    size = (data[0] & 0x0F) * 4
    head = bytes((data[0], dscp << 2 | data[1] & 3)) + data[2:10] + b"\0\0" + data[12:size]
    return head[:10] + checksum(head).to_bytes(2, "big") + data[12:]


def verify(data: bytes) -> list[str]:
    """What is wrong with the lengths and checksums of a whole packet; empty when all are right."""
    try:
        packet = parse(data)
    except MalformedPacketError as error:
        return [str(error)]
    wrong: list[str] = []
    if packet.version == 4 and checksum(packet.header) not in (0, 0xFFFF):
        wrong.append("IPv4 header checksum")
    if packet.is_fragment or not packet.transport:
        return wrong
    src, dst = pack_ip(packet.src), pack_ip(packet.dst)
    segment = packet.transport + packet.payload
    if packet.protocol == UDP:
        if int.from_bytes(packet.transport[4:6], "big") != len(segment):
            wrong.append("UDP length")
        if packet.transport[6:8] == b"\0\0" and packet.version == 4:
            return wrong
    if packet.protocol == ICMP:
        sound = checksum(segment) in (0, 0xFFFF)
    else:
        sound = transport_checksum(packet.protocol, src, dst, segment) in (0, 0xFFFF)
    if not sound:
        wrong.append(f"{PROTOCOL_NAMES[packet.protocol]} checksum")
    return wrong
