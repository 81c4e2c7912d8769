"""Cutting IPv4 packets into fragments (RFC 791). ``lab.gateway.fragments`` puts them together."""

from __future__ import annotations

from siplab.lab.wire.ip import DEFAULT_MTU, MalformedPacketError, checksum


def fragmented(data: bytes, mtu: int = DEFAULT_MTU, *, identification: int | None = None) -> list[bytes]:
    """Cut an IPv4 packet for ``mtu`` (RFC 791); a packet that fits comes back alone and unchanged.

    Raises ``MalformedPacketError`` for an IPv6 packet, which only its sender may cut.
    """
    if len(data) <= mtu:
        return [data]
    if data[0] >> 4 != 4:
        raise MalformedPacketError("only IPv4 packets are fragmented on the way")
    header_length = (data[0] & 0x0F) * 4
    size, step = len(data) - header_length, (mtu - header_length) // 8 * 8
    return [
        fragment_of(data, at, min(at + step, size), more=at + step < size, identification=identification)
        for at in range(0, size, step)
    ]


def fragment_of(data: bytes, begin: int, end: int, *, more: bool, identification: int | None = None) -> bytes:
    """One fragment of an IPv4 packet: the bytes ``begin`` to ``end`` of what follows its header.

    ``begin`` is a multiple of eight. ``more``: other fragments follow it. If the packet is itself a fragment
    that others follow, they follow this one too.
    """
    header_length = (data[0] & 0x0F) * 4
    header, body = data[:header_length], data[header_length:][begin:end]
    number = header[4:6] if identification is None else identification.to_bytes(2, "big")
    offset = (int.from_bytes(header[6:8], "big") & 0x1FFF) + begin // 8
    if more or header[6] & 0x20:
        offset |= 0x2000
    new = (
        header[:2]
        + (header_length + len(body)).to_bytes(2, "big")
        + number
        + offset.to_bytes(2, "big")
        + header[8:10]
        + b"\0\0"
        + header[12:]
    )
    return new[:10] + checksum(new).to_bytes(2, "big") + new[12:] + body
