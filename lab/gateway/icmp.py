"""Translating ICMP errors: the outer addresses and those of the packet that they quote.

RFC 5508 section 4: an error about a translated packet must reach the host that sent it,
with the quoted packet as that host sent it. The payload inside the quote stays as it is:
an ALG's changes are not undone there, which is what low-TTL probes look for.
"""

from __future__ import annotations

from dataclasses import replace

from siplab.lab.gateway.nat import Nat
from siplab.lab.wire import ip
from siplab.lab.wire.ip import ICMP, Endpoint, MalformedPacketError, Packet


def translate_error(error: Packet, nat: Nat, now: float, *, outbound: bool) -> bytes | None:
    """The error as it leaves on the other side, or ``None`` when it belongs to no known flow."""
    try:
        quoted = ip.parse(error.payload, quoted=True)
    except MalformedPacketError:
        return None
    if not quoted.transport:
        return None
    if outbound:
        # An inside host complains about a packet that came in, so it is the quote's destination.
        remote = Endpoint(quoted.src, 0) if quoted.protocol == ICMP else quoted.source
        binding = nat.find(quoted.protocol, quoted.destination, remote, now)
        if binding is None:
            return None
        inner = _quote(error.payload, quoted, destination=binding.outside)
        return bytes(replace(error.with_(src=nat.public_ip), payload=inner))
    binding = nat.at_port(quoted.protocol, quoted.sport, now)
    if quoted.src != nat.public_ip or binding is None:
        return None
    inner = _quote(error.payload, quoted, source=binding.inside)
    return bytes(replace(error.with_(dst=binding.inside.ip), payload=inner))


def translate_hairpin_error(error: Packet, nat: Nat, now: float) -> bytes | None:
    """An error about a packet that turned round at the NAT turns round too (RFC 5508 section 5)."""
    out = translate_error(error, nat, now, outbound=True)
    return translate_error(ip.parse(out), nat, now, outbound=False) if out else None


def _quote(
    data: bytes, quoted: Packet, *, source: Endpoint | None = None, destination: Endpoint | None = None
) -> bytes:
    """The quoted bytes with one endpoint replaced, checksums updated and length untouched."""
    header = len(quoted.header)
    old_ip, old_ports = data[12:20], data[header : header + 4]
    src, dst, sport, dport = old_ip[:4], old_ip[4:], old_ports[:2], old_ports[2:]
    if source is not None:
        src, sport = ip.pack_ip(source.ip), source.port.to_bytes(2, "big")
    if destination is not None:
        dst, dport = ip.pack_ip(destination.ip), destination.port.to_bytes(2, "big")
    new_ip = src + dst
    ip_sum = ip.update_checksum(int.from_bytes(data[10:12], "big"), ip.checksum_delta(old_ip, new_ip))
    head = data[:10] + ip_sum.to_bytes(2, "big") + new_ip + data[20:header]
    rest = bytearray(data[header:])
    if quoted.protocol == ICMP:
        identifier = sport if source is not None else dport
        _patch_sum(rest, 2, bytes(rest[4:6]), identifier)
        rest[4:6] = identifier
    else:
        rest[0:4] = sport + dport
        at = 6 if quoted.protocol == ip.UDP else 16
        if len(rest) >= at + 2 and not (at == 6 and rest[6:8] == b"\0\0"):
            _patch_sum(rest, at, old_ip + old_ports, new_ip + sport + dport)
    return head + bytes(rest)


def _patch_sum(rest: bytearray, at: int, old: bytes, new: bytes) -> None:
    value = int.from_bytes(rest[at : at + 2], "big")
    rest[at : at + 2] = ip.update_checksum(value, ip.checksum_delta(old, new)).to_bytes(2, "big")
