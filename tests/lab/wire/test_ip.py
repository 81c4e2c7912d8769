"""Packets are built correctly (scapy agrees) and read back whole; bad ones raise one kind of exception."""

from __future__ import annotations

import struct
from random import Random
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.packet import Raw

from siplab.lab.wire import ip
from siplab.lab.wire.fragments import fragmented
from siplab.lab.wire.icmp import (
    HOST_UNREACHABLE,
    NET_UNREACHABLE,
    PACKET_TOO_BIG,
    PORT_UNREACHABLE,
    TIME_EXCEEDED,
    IcmpError,
    icmp_echo,
    icmp_error,
    is_icmp_error,
)
from siplab.lab.wire.ip import Endpoint, MalformedPacketError

V4 = (Endpoint("192.168.1.20", 5060), Endpoint("198.51.100.10", 5080))
V6 = (Endpoint("2001:db8::20", 5060), Endpoint("2001:db8:1::10", 5080))
FAMILIES = pytest.mark.parametrize("ends", [V4, V6], ids=["v4", "v6"])

PORTS = st.integers(0, 0xFFFF)
ADDRESSES = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)),
    st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6)),
).map(lambda pair: (str(pair[0]), str(pair[1])))
PAYLOADS = st.binary(max_size=64)
WORDS = st.binary(max_size=40).map(lambda data: data if len(data) % 2 == 0 else data + b"\0")


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    src, dst = draw(ADDRESSES)
    source, destination, payload = Endpoint(src, draw(PORTS)), Endpoint(dst, draw(PORTS)), draw(PAYLOADS)
    ttl = draw(st.integers(1, 255))
    match draw(st.sampled_from(["udp", "tcp", "echo", "error"])):
        case "udp":
            return ip.udp(source, destination, payload, ttl=ttl, dont_fragment=draw(st.booleans()))
        case "tcp":
            options = draw(st.sampled_from([b"", b"\x02\x04\x05\xb4", b"\x01" * 12]))
            flags, seq, ack = (
                draw(st.integers(0, 255)),
                draw(st.integers(0, 2**33)),
                draw(st.integers(0, 2**33)),
            )
            return ip.tcp(
                source,
                destination,
                payload,
                seq=seq,
                ack=ack,
                flags=flags,
                window=draw(PORTS),
                options=options,
                ttl=ttl,
            )
        case "echo":
            return icmp_echo(src, dst, draw(PORTS), draw(PORTS), payload, reply=draw(st.booleans()))
    kinds = [
        PORT_UNREACHABLE,
        HOST_UNREACHABLE,
        NET_UNREACHABLE,
        TIME_EXCEEDED,
        PACKET_TOO_BIG,
    ]
    return icmp_error(
        dst, draw(st.sampled_from(kinds)), ip.udp(source, destination, payload), mtu=draw(PORTS)
    )


def assert_scapy_agrees(data: bytes) -> None:
    """Let scapy compute every length and checksum again: nothing may change."""
    packet = IP(data) if data[0] >> 4 == 4 else IPv6(data)
    assert bytes(packet) == data
    layer: Any = packet
    while layer:
        for name in ("chksum", "cksum", "len", "plen"):
            if name in layer.fields:
                delattr(layer, name)
        if layer.name.startswith("ICMP") and layer.payload and layer.payload.name != "Raw":
            break  # the packet quoted in an error must stay as it was
        layer = layer.payload
    assert bytes(packet) == data


@FAMILIES
def test_scapy_would_notice(ends: tuple[Endpoint, Endpoint]) -> None:
    echo = icmp_echo(ends[0].ip, ends[1].ip, 1, 1, b"x")
    for data in (
        ip.udp(*ends, b"x"),
        ip.tcp(*ends, b"x"),
        echo,
        icmp_error(ends[0].ip, TIME_EXCEEDED, echo),
    ):
        begin = 40 if ":" in ends[0].ip else 20
        at = begin + {ip.UDP: 6, ip.TCP: 16}.get(ip.parse(data).protocol, 2)
        with pytest.raises(AssertionError):
            assert_scapy_agrees(data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :])


# -- build, read, write ---------------------------------------------------------------------


@given(packets())
def test_what_is_built_reads_back_and_is_sound(data: bytes) -> None:
    packet = ip.parse(data)
    assert bytes(packet) == data
    assert bytes(packet.with_()) == data
    assert ip.verify(data) == []
    assert ip.parse(data + b"trailing padding") == packet
    assert packet.header + packet.transport + packet.payload == data


@given(packets())
def test_scapy_computes_the_same_bytes(data: bytes) -> None:
    assert_scapy_agrees(data)


@FAMILIES
@pytest.mark.parametrize("payload", [b"", b"x", b"INVITE sip:b SIP/2.0\r\n\r\n", bytes(1001)])
def test_udp_is_what_scapy_builds(ends: tuple[Endpoint, Endpoint], payload: bytes) -> None:
    (src, sport), (dst, dport) = ends
    top: Any = IP(src=src, dst=dst, id=0, flags="DF") if "." in src else IPv6(src=src, dst=dst)
    assert ip.udp(*ends, payload) == bytes(top / UDP(sport=sport, dport=dport) / Raw(payload))


@FAMILIES
@pytest.mark.parametrize("payload", [b"", b"x", bytes(1001)])
def test_tcp_is_what_scapy_builds(ends: tuple[Endpoint, Endpoint], payload: bytes) -> None:
    (src, sport), (dst, dport) = ends
    top: Any = IP(src=src, dst=dst, id=0, flags="DF") if "." in src else IPv6(src=src, dst=dst)
    segment = TCP(sport=sport, dport=dport, seq=7, ack=9, flags="PA", window=65535, options=[("MSS", 1460)])
    built = ip.tcp(*ends, payload, seq=7, ack=9, flags=ip.PSH | ip.ACK, options=b"\x02\x04\x05\xb4")
    assert built == bytes(top / segment / Raw(payload))


@FAMILIES
@pytest.mark.parametrize("reply", [False, True])
def test_echo_is_what_scapy_builds(ends: tuple[Endpoint, Endpoint], reply: bool) -> None:
    src, dst = ends[0].ip, ends[1].ip
    expected: Any
    if "." in src:
        expected = (
            IP(src=src, dst=dst, id=0, flags="DF") / ICMP(type=0 if reply else 8, id=77, seq=3) / b"ping"
        )
    else:
        kind = ICMPv6EchoReply if reply else ICMPv6EchoRequest
        expected = IPv6(src=src, dst=dst) / kind(id=77, seq=3, data=b"ping")
    data = icmp_echo(src, dst, 77, 3, b"ping", reply=reply)
    assert data == bytes(expected)
    packet = ip.parse(data)
    assert (packet.sport, packet.dport, packet.payload) == (77, 77, b"ping")


def test_fields_of_a_packet() -> None:
    packet = ip.parse(ip.tcp(*V4, b"x", seq=1, ack=2, flags=ip.SYN, ttl=9))
    assert (packet.source, packet.destination) == V4
    assert (packet.version, packet.protocol, packet.ttl, packet.flags) == (4, ip.TCP, 9, ip.SYN)
    assert (packet.seq, packet.ack, packet.identification) == (1, 2, 0)
    assert (packet.dont_fragment, packet.is_fragment) == (True, False)
    six = ip.parse(ip.udp(*V6, b"x", ttl=9))
    assert (six.source, six.destination) == V6
    assert (six.version, six.ttl, six.flags, six.dont_fragment, six.is_fragment) == (6, 9, 0, True, False)
    assert str(V4[0]) == "192.168.1.20:5060"
    assert str(V6[0]) == "[2001:db8::20]:5060"


@FAMILIES
def test_with_changes_what_it_names(ends: tuple[Endpoint, Endpoint]) -> None:
    six = ":" in ends[0].ip
    src = "2001:db8:ffff::7" if six else "203.0.113.7"
    data = ip.tcp(*ends, b"old", seq=1, ack=2)
    changed = bytes(
        ip.parse(data).with_(
            src=src, sport=61002, dport=9, payload=b"longer", ttl=3, seq=2**32 + 5, ack=6, flags=ip.FIN
        )
    )
    new = (Endpoint(src, 61002), Endpoint(ends[1].ip, 9))
    assert changed == ip.tcp(*new, b"longer", seq=5, ack=6, flags=ip.FIN, ttl=3)
    assert bytes(ip.parse(ip.udp(*ends, b"x")).with_(dont_fragment=False)) == ip.udp(
        *ends, b"x", dont_fragment=False
    )
    assert bytes(ip.parse(ip.udp(*ends, b"x")).with_(dst=src)) == ip.udp(
        ends[0], Endpoint(src, ends[1].port), b"x"
    )


def test_udp_without_checksum_stays_without() -> None:
    data = bytearray(ip.udp(*V4, b"hello"))
    data[26:28] = b"\0\0"
    changed = bytes(ip.parse(bytes(data)).with_(sport=9))
    assert changed[26:28] == b"\0\0"
    assert ip.verify(changed) == []


def test_udp_checksum_is_never_zero() -> None:
    # The payload is the checksum of the rest, so the checksum is 0, which UDP sends as 0xFFFF.
    filler = ip.udp(*V4, b"\0\0")[26:28]
    data = ip.udp(*V4, filler)
    assert data[26:28] == b"\xff\xff"
    assert ip.verify(data) == []
    assert_scapy_agrees(data)


def test_options_and_extension_headers_travel_untouched() -> None:
    four = bytes(
        IP(src="192.168.1.20", dst="198.51.100.10", options=[b"\x01" * 4]) / UDP(sport=1, dport=2) / b"x"
    )
    packet = ip.parse(four)
    assert (packet.sport, packet.payload, bytes(packet)) == (1, b"x", four)
    plain = ip.udp(*V6, b"x")
    extended = (
        plain[:4] + struct.pack("!HBB", 8 + 9, 60, 64) + plain[8:40] + b"\x11\0\x01\x04\0\0\0\0" + plain[40:]
    )
    packet = ip.parse(extended)
    assert (packet.protocol, packet.sport, packet.payload, bytes(packet)) == (ip.UDP, 5060, b"x", extended)
    assert ip.verify(extended) == []


def test_unknown_protocols_travel_whole() -> None:
    data = bytes(IP(src="192.168.1.20", dst="198.51.100.10", proto=47) / Raw(b"gre"))
    packet = ip.parse(data)
    assert (packet.protocol, packet.transport, packet.payload, packet.sport) == (47, b"", b"gre", 0)
    assert bytes(packet) == data


@FAMILIES
def test_the_largest_packet_and_one_byte_more(ends: tuple[Endpoint, Endpoint]) -> None:
    room = ip.MAX_PACKET - 8 - (0 if ":" in ends[0].ip else 20)
    assert ip.verify(ip.udp(*ends, bytes(room))) == []
    with pytest.raises(MalformedPacketError, match="larger"):
        ip.udp(*ends, bytes(room + 1))


# -- broken packets ---------------------------------------------------------------------------


@given(packets(), st.integers(0, 63))
def test_a_mark_changes_the_dscp_and_nothing_else(data: bytes, dscp: int) -> None:
    marked = ip.marked(data, dscp)
    assert ip.dscp_of(marked) == dscp
    assert ip.verify(marked) == ip.verify(data) == []
    assert ip.marked(marked, ip.dscp_of(data)) == data
    assert ip.parse(marked).transport == ip.parse(data).transport


@given(packets(), st.data())
def test_truncated_and_flipped_packets_raise_one_exception_only(data: bytes, draw: st.DataObject) -> None:
    broken = bytearray(data[: draw.draw(st.integers(0, len(data)))])
    for _ in range(draw.draw(st.integers(0, 3))):
        assume(broken)
        broken[draw.draw(st.integers(0, len(broken) - 1))] ^= 1 << draw.draw(st.integers(0, 7))
    for quoted in (False, True):
        try:
            packet = ip.parse(bytes(broken), quoted=quoted)
        except MalformedPacketError:
            continue
        assert ip.unpack_ip(ip.pack_ip(packet.src)) == packet.src
        if not quoted:
            rebuilt = ip.parse(bytes(packet))
            assert (rebuilt.source, rebuilt.destination, rebuilt.payload) == (
                packet.source,
                packet.destination,
                packet.payload,
            )
    assert isinstance(ip.verify(bytes(broken)), list)


@given(st.binary(max_size=80))
def test_any_bytes_raise_one_exception_only(data: bytes) -> None:
    for quoted in (False, True):
        try:
            packet = ip.parse(data, quoted=quoted)
        except MalformedPacketError:
            continue
        assert packet.version == data[0] >> 4


@given(packets(), st.data())
def test_every_truncation_is_noticed(data: bytes, draw: st.DataObject) -> None:
    cut = data[: draw.draw(st.integers(0, len(data) - 1))]
    with pytest.raises(MalformedPacketError):
        ip.parse(cut)
    assert ip.verify(cut)


@given(packets(), st.data())
def test_verify_notices_a_flipped_bit_under_a_checksum(data: bytes, draw: st.DataObject) -> None:
    begin = 40 if data[0] >> 4 == 6 else 20
    at = draw.draw(st.integers(begin, len(data) - 1))
    flipped = bytearray(data)
    flipped[at] ^= 1 << draw.draw(st.integers(0, 7))
    udp_checksum = ip.parse(data).protocol == ip.UDP and at - begin in (6, 7)
    assume(not (udp_checksum and flipped[begin + 6 : begin + 8] == b"\0\0"))
    assert ip.verify(bytes(flipped))


def test_verify_names_what_is_wrong() -> None:
    data = bytearray(ip.udp(*V4, b"x"))
    data[8] -= 1
    data[-1] ^= 1
    assert ip.verify(bytes(data)) == ["IPv4 header checksum", "udp checksum"]
    data = bytearray(ip.udp(*V4, b"xy"))
    data[25] -= 1
    assert "UDP length" in ip.verify(bytes(data))
    assert ip.verify(b"") == ["not an IPv4 or IPv6 packet"]


# -- checksums ------------------------------------------------------------------------------------


def slow_checksum(data: bytes) -> int:
    """RFC 1071 as it is written: add the words, carry around, complement."""
    total = 0
    for (word,) in struct.iter_unpack("!H", data + b"\0" * (len(data) % 2)):
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


@given(
    st.one_of(
        st.binary(max_size=60), st.lists(st.sampled_from([b"\0\0", b"\xff\xff"]), max_size=4).map(b"".join)
    )
)
def test_checksum_is_that_of_rfc_1071(data: bytes) -> None:
    assert ip.checksum(data) == slow_checksum(data)


@given(WORDS, WORDS, WORDS, st.data())
def test_an_updated_checksum_is_the_one_computed_anew(
    head: bytes, old: bytes, tail: bytes, draw: st.DataObject
) -> None:
    new = draw.draw(st.binary(min_size=len(old), max_size=len(old)))
    before, after = head + old + tail, head + new + tail
    assume(any(after))  # not all zeros: in one's complement, zero has two forms
    delta = ip.checksum_delta(old, new)
    assert ip.update_checksum(ip.checksum(before), delta) == ip.checksum(after)
    assert ip.update_checksum(ip.update_checksum(ip.checksum(after), -delta), delta) == ip.checksum(after)


@pytest.mark.parametrize(
    ("before", "old", "new"),
    [
        (b"\xff\xff\x00\x00", b"\x00\x00", b"\xff\xff"),
        (b"\xff\xff\x00\x00", b"\x00\x00", b"\x00\x01"),
        (b"\x00\x01\x00\x00", b"\x00\x00", b"\xff\xfe"),
        (b"\xff\xfe\x00\x01", b"\x00\x01", b"\x00\x00"),
        (b"\x00\x00\x00\x00", b"\x00\x00", b"\xff\xff"),
    ],
)
def test_updates_across_zero(before: bytes, old: bytes, new: bytes) -> None:
    after = before[:2] + new
    assert before[2:] == old
    assert ip.update_checksum(ip.checksum(before), ip.checksum_delta(old, new)) == slow_checksum(after)


@given(packets())
def test_a_hop_keeps_the_packet_sound(data: bytes) -> None:
    ttl = ip.parse(data).ttl
    assume(ttl > 1)
    forwarded = ip.decrement_ttl(data)
    assert ip.parse(forwarded).ttl == ttl - 1
    assert ip.verify(forwarded) == []
    assert forwarded == bytes(ip.parse(data).with_(ttl=ttl - 1))


# -- ICMP errors ----------------------------------------------------------------------------------


@FAMILIES
@pytest.mark.parametrize("size", [0, 1, 400, 1400])
@pytest.mark.parametrize("kind", [PORT_UNREACHABLE, TIME_EXCEEDED, PACKET_TOO_BIG])
def test_errors_quote_the_packet(ends: tuple[Endpoint, Endpoint], size: int, kind: IcmpError) -> None:
    six = ":" in ends[0].ip
    router = "2001:db8::1" if six else "192.168.1.1"
    offending = ip.udp(*ends, bytes(size))
    data = icmp_error(router, kind, offending, mtu=1280)
    packet = ip.parse(data)
    assert ip.verify(data) == []
    assert_scapy_agrees(data)
    assert is_icmp_error(packet)
    assert (packet.icmp_type, packet.icmp_code) == (kind.v6 if six else kind.v4)
    assert packet.transport[4:] == struct.pack("!I", 1280)
    assert (packet.src, packet.dst) == (router, ends[0].ip)
    assert offending.startswith(packet.payload)
    assert len(data) == min(len(offending) + (48 if six else 28), ip.MIN_IPV6_MTU if six else 576)
    quoted = ip.parse(packet.payload, quoted=True)
    assert (quoted.source, quoted.destination) == ends


def test_a_quote_of_eight_bytes_tells_the_ports() -> None:
    for data in (ip.udp(*V4, bytes(100)), ip.tcp(*V4, bytes(100))):
        quoted = ip.parse(data[:28], quoted=True)
        assert (quoted.source, quoted.destination) == V4


@FAMILIES
def test_other_packets_are_no_errors(ends: tuple[Endpoint, Endpoint]) -> None:
    assert not is_icmp_error(ip.parse(ip.udp(*ends, b"")))
    assert not is_icmp_error(ip.parse(icmp_echo(ends[0].ip, ends[1].ip, 1, 1)))


# -- fragments ------------------------------------------------------------------------------------


def reassemble(pieces: list[bytes]) -> bytes:
    """The packet that these fragments make, joined by offset."""
    ordered = sorted(pieces, key=lambda piece: ip.parse(piece).fragment_offset)
    body = b""
    for piece in ordered:
        packet = ip.parse(piece)
        assert packet.fragment_offset == len(body)
        assert packet.more_fragments == (piece is not ordered[-1])
        body += piece[len(packet.header) :]
    header = bytearray(ordered[0][: len(ip.parse(ordered[0]).header)])
    header[2:4] = (len(header) + len(body)).to_bytes(2, "big")
    header[6:8] = b"\0\0"
    header[10:12] = b"\0\0"
    header[10:12] = ip.checksum(bytes(header)).to_bytes(2, "big")
    return bytes(header) + body


@given(st.integers(0, 3000), st.integers(68, 1500), PORTS, st.randoms())
def test_fragments_make_up_the_packet_in_any_order(size: int, mtu: int, number: int, random: Random) -> None:
    data = ip.udp(*V4, (bytes(range(251)) * 12)[:size], dont_fragment=False)
    pieces = fragmented(data, mtu, identification=number)
    assert all(len(piece) <= mtu and ip.verify(piece) == [] for piece in pieces)
    if len(data) <= mtu:
        assert pieces == [data]
        return
    assert len(pieces) > 1
    assert {ip.parse(piece).identification for piece in pieces} == {number}
    assert all(ip.parse(piece).is_fragment for piece in pieces)
    random.shuffle(pieces)
    whole = reassemble(pieces)
    assert whole[20:] == data[20:]
    assert ip.verify(whole) == []


def test_a_fragment_can_be_cut_again() -> None:
    data = ip.udp(*V4, bytes(range(250)) * 10, dont_fragment=False)
    pieces = [small for piece in fragmented(data, 1500, identification=7) for small in fragmented(piece, 576)]
    assert len(pieces) > len(fragmented(data, 1500))
    assert reassemble(pieces)[20:] == data[20:]


@pytest.mark.parametrize("build", ["udp", "tcp", "echo"])
def test_fragments_read_and_write_unchanged(build: str) -> None:
    payload = bytes(range(250)) * 10
    data = {
        "udp": ip.udp(*V4, payload, dont_fragment=False),
        "tcp": ip.tcp(*V4, payload),
        "echo": icmp_echo(V4[0].ip, V4[1].ip, 7, 1, payload),
    }[build]
    pieces = fragmented(data, 1500, identification=9)
    assert [bytes(ip.parse(piece)) for piece in pieces] == pieces
    assert [ip.verify(piece) for piece in pieces] == [[], []]
    first, second = (ip.parse(piece) for piece in pieces)
    assert first.sport == ip.parse(data).sport
    assert (second.transport, second.sport, second.dport) == (b"", 0, 0)


def test_ports_of_a_first_fragment_can_be_changed() -> None:
    first = fragmented(ip.tcp(*V4, bytes(2000)), 1500)[0]
    changed = bytes(ip.parse(first).with_(src="203.0.113.7", sport=61002))
    assert ip.parse(changed).source == Endpoint("203.0.113.7", 61002)
    assert changed[24:] == first[24:]


def test_ipv6_is_not_fragmented_on_the_way() -> None:
    data = ip.udp(*V6, bytes(1400))
    assert fragmented(data, 1500) == [data]
    with pytest.raises(MalformedPacketError, match="only IPv4"):
        fragmented(data, 1280)


# -- addresses --------------------------------------------------------------------------------------


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_addresses_pack_and_unpack(address: object) -> None:
    text = ip.unpack_ip(ip.pack_ip(str(address)))
    assert ip.pack_ip(text) == ip.pack_ip(str(address))
    assert ip.is_address(text)


@pytest.mark.parametrize("text", ["", "192.168.1", "192.168.1.256", "[::1]", "2001:db8::1::2", "pbx.lan"])
def test_what_is_no_address(text: str) -> None:
    assert not ip.is_address(text)
    with pytest.raises(OSError, match="illegal IP address"):
        ip.pack_ip(text)
