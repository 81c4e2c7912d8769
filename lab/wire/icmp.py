"""ICMP and ICMPv6 as bytes: echoes, and the errors that quote a packet (RFC 792, RFC 4443)."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from siplab.lab.wire.ip import DEFAULT_TTL, ICMP, ICMPV6, MIN_IPV6_MTU, Packet, ip_header, parse

# RFC 1812 4.3.2.3: an ICMP error quotes as much as fits in 576 bytes; Linux does so too.
_ICMP_ERROR_SIZE: Final = 576


def icmp_echo(
    src: str, dst: str, identifier: int, sequence: int, payload: bytes = b"", *, reply: bool = False
) -> bytes:
    """An ICMP or ICMPv6 echo request or reply."""
    six = ":" in src
    protocol = ICMPV6 if six else ICMP
    kind = (129 if reply else 128) if six else (0 if reply else 8)
    version, header = ip_header(src, protocol, DEFAULT_TTL, True)
    head = struct.pack("!BBHHH", kind, 0, 0, identifier, sequence)
    return bytes(Packet(version, protocol, src, dst, identifier, identifier, header, head, payload))


class IcmpError(NamedTuple):
    """Type and code of an ICMP error (RFC 792, RFC 4443), IPv4 pair and IPv6 pair."""

    v4: tuple[int, int]
    v6: tuple[int, int]


PORT_UNREACHABLE: Final = IcmpError((3, 3), (1, 4))
HOST_UNREACHABLE: Final = IcmpError((3, 1), (1, 3))
NET_UNREACHABLE: Final = IcmpError((3, 0), (1, 0))
TIME_EXCEEDED: Final = IcmpError((11, 0), (3, 0))
PACKET_TOO_BIG: Final = IcmpError((3, 4), (2, 0))


def icmp_error(src: str, kind: IcmpError, offending: bytes, *, mtu: int = 0) -> bytes:
    """The ICMP error that ``src`` sends about ``offending``, quoting it as Linux does."""
    packet = parse(offending, quoted=True)
    if packet.version == 4:
        protocol, (icmp_type, code), rest = ICMP, kind.v4, struct.pack("!HH", 0, mtu)
        quote = offending[: _ICMP_ERROR_SIZE - 28]
    else:
        protocol, (icmp_type, code), rest = ICMPV6, kind.v6, struct.pack("!I", mtu)
        quote = offending[: MIN_IPV6_MTU - 48]
    version, header = ip_header(src, protocol, DEFAULT_TTL, False)
    if version == 4:  # Linux marks ICMP errors "internetwork control"
        header = header[:1] + b"\xc0" + header[2:]
    head = struct.pack("!BBH", icmp_type, code, 0) + rest
    return bytes(Packet(version, protocol, src, packet.src, 0, 0, header, head, quote))


def is_icmp_error(packet: Packet) -> bool:
    if packet.protocol == ICMP:
        return packet.icmp_type in (3, 4, 5, 11, 12)
    return packet.protocol == ICMPV6 and 0 < packet.icmp_type < 128
