"""ICMP errors: the sender must recognise the packet that it sent (RFC 5508 section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from siplab.lab.gateway.fate import Fate
from siplab.lab.gateway.gateway import Side
from siplab.lab.gateway.nat_config import Dependence, PortAllocation
from siplab.lab.wire import ip
from siplab.lab.wire.icmp import (
    HOST_UNREACHABLE,
    NET_UNREACHABLE,
    PACKET_TOO_BIG,
    PORT_UNREACHABLE,
    TIME_EXCEEDED,
    IcmpError,
    icmp_echo,
    icmp_error,
)
from siplab.lab.wire.ip import ACK, ICMP, SYN, Endpoint, Packet, checksum, parse

if TYPE_CHECKING:
    from tests.lab.gateway.conftest import Router, RouterMaker

PUBLIC = "203.0.113.7"
PHONE, SERVER = Endpoint("192.168.1.20", 40000), Endpoint("198.51.100.10", 7000)
MIDDLE = "192.0.2.1"  # a router on the way
INSIDE_MIDDLE = "192.168.1.254"
KINDS = [PORT_UNREACHABLE, HOST_UNREACHABLE, NET_UNREACHABLE, TIME_EXCEEDED, PACKET_TOO_BIG]

OUT = {
    "udp": ip.udp(PHONE, SERVER, b"payload 192.168.1.20" * 40),
    "udp without checksum": b"",  # filled in below
    "tcp": ip.tcp(PHONE, SERVER, b"payload 192.168.1.20", seq=1, ack=2),
    "icmp": icmp_echo(PHONE.ip, SERVER.ip, 40000, 3, b"payload"),
}
OUT["udp without checksum"] = OUT["udp"][:26] + b"\0\0" + OUT["udp"][28:]


@pytest.fixture
def router(new_router: RouterMaker) -> Router:
    """Every public port differs from the inside one."""
    return new_router(first_port=61001, port_allocation=PortAllocation.SEQUENTIAL, port_parity=False)


def quote_of(error: Packet) -> Packet:
    """The quoted packet; its header checksum must be right."""
    quoted = parse(error.payload, quoted=True)
    assert checksum(quoted.header) in (0, 0xFFFF)
    return quoted


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", OUT)
def test_an_error_comes_back_with_the_packet_as_it_was_sent(
    router: Router, name: str, kind: IcmpError
) -> None:
    sent = OUT[name]
    left = bytes(router.crossed(sent, Side.INSIDE))
    hop = ip.decrement_ttl(left)
    error = icmp_error(MIDDLE, kind, hop, mtu=1400 if kind is PACKET_TOO_BIG else 0)
    came = router.crossed(error, Side.OUTSIDE)
    assert (came.src, came.dst) == (MIDDLE, PHONE.ip)
    assert (came.icmp_type, came.icmp_code) == kind.v4
    assert came.transport[4:8] == parse(error).transport[4:8], "the MTU stays"
    quoted = quote_of(came)
    assert (quoted.source, quoted.destination) == (parse(sent).source, parse(sent).destination)
    # The quote is, to the byte, what the phone sent, one hop further.
    assert came.payload == ip.decrement_ttl(sent)[: len(came.payload)]
    assert len(came.payload) == min(len(sent), 548)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", OUT)
def test_an_error_of_the_inside_goes_out_with_the_packet_as_it_came(
    router: Router, name: str, kind: IcmpError
) -> None:
    left = router.crossed(OUT[name], Side.INSIDE)
    if left.protocol == ICMP:
        back = icmp_echo(SERVER.ip, PUBLIC, left.sport, 3, left.payload, reply=True)
    elif name == "tcp":
        back = ip.tcp(SERVER, left.source, left.payload, seq=2, ack=3)
    else:
        back = ip.udp(SERVER, left.source, left.payload)
        if name == "udp without checksum":
            back = back[:26] + b"\0\0" + back[28:]
    reached = bytes(router.crossed(back, Side.OUTSIDE))
    for complainer in (PHONE.ip, INSIDE_MIDDLE):
        out = router.crossed(icmp_error(complainer, kind, reached), Side.INSIDE)
        assert (out.src, out.dst) == (PUBLIC, SERVER.ip)
        quote_of(out)
        assert out.payload == back[: len(out.payload)]


@pytest.mark.parametrize("size", [8, 12, 18, 20])
def test_a_quote_of_few_bytes(router: Router, size: int) -> None:
    """RFC 792 requires only 8 bytes after the IP header, so the TCP checksum may be missing."""
    left = bytes(router.crossed(OUT["tcp"], Side.INSIDE))
    came = router.crossed(icmp_error(MIDDLE, TIME_EXCEEDED, left[: 20 + size]), Side.OUTSIDE)
    assert came.payload == OUT["tcp"][: 20 + size]


def test_a_quote_with_ip_options(router: Router) -> None:
    sent = with_options(OUT["udp"])
    left = bytes(router.crossed(sent, Side.INSIDE))
    came = router.crossed(icmp_error(MIDDLE, TIME_EXCEEDED, left), Side.OUTSIDE)
    quote_of(came)
    assert came.payload == sent[: len(came.payload)]


def with_options(packet: bytes) -> bytes:
    """A packet with one word of IP options (no operation)."""
    head = b"\x46" + packet[1:2] + (len(packet) + 4).to_bytes(2, "big") + packet[4:10]
    rest = packet[12:20] + b"\x01\x01\x01\x00"
    return head + checksum(head + rest).to_bytes(2, "big") + rest + packet[20:]


def test_what_the_alg_changed_is_not_undone_in_the_quote(correct_router: RouterMaker) -> None:
    """Detectors that send probes with a low TTL rely on this."""
    router = correct_router()
    text = b"OPTIONS sip:x SIP/2.0\r\nContact: <sip:alice@192.168.1.20:40000>\r\n\r\n"
    left = router.one(ip.udp(PHONE, SERVER._replace(port=5060), text), Side.INSIDE)
    assert left.changed
    came = router.crossed(icmp_error(MIDDLE, TIME_EXCEEDED, left.packet), Side.OUTSIDE)
    quoted = quote_of(came)
    assert quoted.source == PHONE
    assert quoted.payload == text.replace(PHONE.ip.encode(), PUBLIC.encode())


def error_about(packet: bytes, src: str = MIDDLE) -> bytes:
    return icmp_error(src, PORT_UNREACHABLE, packet)


def test_errors_about_unknown_flows_end_here(router: Router) -> None:
    left = router.send(PHONE, SERVER)
    for quoted in (
        ip.udp(left.source._replace(port=9), SERVER, b""),
        ip.tcp(left.source, SERVER),
        icmp_echo(PUBLIC, SERVER.ip, left.sport, 1),
    ):
        assert router.fate(error_about(quoted), Side.OUTSIDE) is Fate.UNKNOWN_FLOW
    # An error to the router about somebody else's packet.
    elsewhere = error_about(ip.udp(left.source._replace(ip="203.0.113.8"), SERVER, b""))
    to_us = bytes(parse(elsewhere).with_(dst=PUBLIC))
    assert router.fate(to_us, Side.OUTSIDE) is Fate.UNKNOWN_FLOW
    for quoted in (
        ip.udp(SERVER, PHONE._replace(port=9), b""),
        ip.tcp(SERVER, PHONE),
    ):
        assert router.fate(error_about(quoted, PHONE.ip), Side.INSIDE) is Fate.UNKNOWN_FLOW


def test_an_error_after_the_binding_has_ended(router: Router) -> None:
    left = bytes(router.send(PHONE, SERVER))
    router.now = 300.0
    assert router.fate(error_about(left), Side.OUTSIDE) is Fate.UNKNOWN_FLOW


@pytest.mark.parametrize("size", [0, 10, 19, 20, 27])
def test_an_error_with_hardly_a_quote(router: Router, size: int) -> None:
    left = router.send(PHONE, SERVER)
    error = parse(error_about(bytes(left)))
    cut = ip.Packet(4, ICMP, error.src, error.dst, 0, 0, error.header, error.transport, error.payload[:size])
    assert router.fate(bytes(cut), Side.OUTSIDE) is Fate.UNKNOWN_FLOW


def test_an_error_refreshes_nothing_and_opens_nothing(router: Router) -> None:
    left = bytes(router.send(PHONE, SERVER))
    router.now = 299.0
    router.crossed(error_about(left), Side.OUTSIDE)
    router.now = 300.0
    assert router.receive(SERVER, 61001) is None


def test_an_error_about_a_hairpin_turns_round_too(new_router: RouterMaker) -> None:
    router = new_router(filtering=Dependence.ENDPOINT_INDEPENDENT)
    other = Endpoint("192.168.1.21", 50000)
    router.send(other, SERVER)
    sent = ip.udp(PHONE, Endpoint(PUBLIC, other.port), b"hairpin")
    reached = router.one(sent, Side.INSIDE).packet
    error = router.one(icmp_error(other.ip, PORT_UNREACHABLE, reached), Side.INSIDE)
    assert error.side is Side.INSIDE
    came = parse(error.packet)
    assert (came.src, came.dst) == (PUBLIC, PHONE.ip)
    assert came.payload == sent
    stranger = icmp_error(other.ip, PORT_UNREACHABLE, ip.udp(Endpoint(PUBLIC, 9), other, b""))
    assert router.fate(stranger, Side.INSIDE) is Fate.UNKNOWN_FLOW


def test_errors_about_tcp_connections_reach_both_ends(new_router: RouterMaker) -> None:
    router = new_router()
    left = router.crossed(ip.tcp(PHONE, SERVER, flags=SYN), Side.INSIDE)
    router.crossed(ip.tcp(SERVER, left.source, flags=SYN | ACK), Side.OUTSIDE)
    for source, destination, side in ((PHONE, SERVER, Side.INSIDE), (SERVER, left.source, Side.OUTSIDE)):
        sent = ip.tcp(source, destination, b"data", seq=7, ack=8)
        reached = bytes(router.crossed(sent, side))
        src = SERVER.ip if side is Side.INSIDE else PHONE.ip
        came = router.crossed(icmp_error(src, PORT_UNREACHABLE, reached), side.other)
        assert came.payload == sent
