"""The router as a whole: which packets leave, which end and why; the short way equals the long way."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siplab.alg_models.controls import CORRECT, NONE
from siplab.lab.gateway.alg import Card, Context, Model, Policy, Recipe
from siplab.lab.gateway.fate import Fate
from siplab.lab.gateway.gateway import Emission, Gateway, Side
from siplab.lab.gateway.nat_config import Dependence, NatConfig, Refresh
from siplab.lab.wire import ip
from siplab.lab.wire.icmp import PACKET_TOO_BIG, PORT_UNREACHABLE, icmp_echo, icmp_error
from siplab.lab.wire.ip import UDP, Endpoint, checksum, parse
from siplab.lab.wire.sip import SipMessage

if TYPE_CHECKING:
    from tests.lab.gateway.conftest import ModelMaker, RouterMaker

PUBLIC, ROUTER = "203.0.113.7", "192.168.1.1"
PHONE, SERVER = Endpoint("192.168.1.20", 5060), Endpoint("198.51.100.10", 5060)
MEDIA, FAR_MEDIA = Endpoint("192.168.1.20", 49170), Endpoint("198.51.100.10", 30000)
PHONE6, SERVER6 = Endpoint("2001:db8:1::20", 5060), Endpoint("2001:db8:9::10", 5060)
OPTIONS = b"OPTIONS sip:lab.test SIP/2.0\r\nContact: <sip:alice@192.168.1.20>\r\nContent-Length: 0\r\n\r\n"


def with_options(packet: bytes) -> bytes:
    """A packet with one word of IP options (no operation)."""
    head = b"\x46" + packet[1:2] + (len(packet) + 4).to_bytes(2, "big") + packet[4:10]
    rest = packet[12:20] + b"\x01\x01\x01\x00"
    return head + checksum(head + rest).to_bytes(2, "big") + rest + packet[20:]


# -- packets on their way --------------------------------------------------------------------------


@given(
    payload=st.binary(max_size=64),
    source=st.tuples(st.integers(1, 254), st.integers(1, 65535)),
    remote=st.tuples(st.ip_addresses(v=4), st.integers(0, 65535)),
    ttl=st.integers(2, 255),
    summed=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_the_patched_checksum_is_the_computed_one(
    new_router: RouterMaker,
    payload: bytes,
    source: tuple[int, int],
    remote: tuple[object, int],
    ttl: int,
    summed: bool,
) -> None:
    router = new_router(port_parity=False)
    inside, outside = Endpoint(f"192.168.1.{source[0]}", source[1]), Endpoint(str(remote[0]), remote[1])
    if router.gateway.is_inside(outside.ip) or outside.ip in (PUBLIC, ROUTER) or inside.ip == ROUTER:
        return

    def wire(a: Endpoint, b: Endpoint) -> bytes:
        packet = ip.udp(a, b, payload, ttl=ttl)
        return packet if summed else packet[:26] + b"\0\0" + packet[28:]

    for _ in range(2):  # the second time by the short way
        left = router.crossed(wire(inside, outside), Side.INSIDE)
        assert bytes(left) == wire(left.source, outside)
        came = router.crossed(wire(outside, left.source), Side.OUTSIDE)
        assert bytes(came) == wire(outside, inside)


def test_a_wrong_udp_checksum_stays_wrong(new_router: RouterMaker) -> None:
    """If the NAT computed a new checksum, the receiver could not see the damage."""
    good = ip.udp(MEDIA, FAR_MEDIA, b"media")
    bad = good[:-1] + b"A"
    (emission,) = new_router().gateway.handle(bad, Side.INSIDE, 0.0)
    assert ip.verify(emission.packet) == ["udp checksum"]


@pytest.mark.parametrize("side", Side)
def test_bytes_behind_the_packet_are_left_out(new_router: RouterMaker, side: Side) -> None:
    router = new_router(ipv6_filtering=None)
    router.send(MEDIA, FAR_MEDIA)
    ends = (MEDIA, FAR_MEDIA) if side is Side.INSIDE else (FAR_MEDIA, Endpoint(PUBLIC, MEDIA.port))
    for packet in (ip.udp(*ends, b"media"), ip.tcp(*ends, b"data"), ip.udp(SERVER6, PHONE6, b"media")):
        if packet[9] == ip.TCP:
            router.crossed(ip.tcp(MEDIA, FAR_MEDIA), Side.INSIDE)
        assert len(router.one(packet + b"trailer", side).packet) == len(packet)


@pytest.mark.parametrize("side", Side)
def test_udp_length_that_does_not_match(new_router: RouterMaker, side: Side) -> None:
    router = new_router()
    router.send(MEDIA, FAR_MEDIA)
    ends = (MEDIA, FAR_MEDIA) if side is Side.INSIDE else (FAR_MEDIA, Endpoint(PUBLIC, MEDIA.port))
    packet = ip.udp(*ends, b"media")
    for length in (0, 7, 12, 14, 65535):
        wrong = packet[:24] + length.to_bytes(2, "big") + packet[26:]
        fate, detail = router.end(wrong, side)
        assert fate is Fate.MALFORMED
        assert detail.startswith("UDP length")


@pytest.mark.parametrize(
    "junk", [b"", b"\x45", b"\x45" * 19, b"\x60" * 39, b"\x00" * 40, b"\xff" * 60, b"\x45\x00" * 12]
)
@pytest.mark.parametrize("side", Side)
def test_junk_has_a_reason(new_router: RouterMaker, junk: bytes, side: Side) -> None:
    assert new_router().fate(junk, side) is Fate.MALFORMED


def test_ip_options_travel_along_and_do_not_hide_a_message(correct_router: RouterMaker) -> None:
    router = correct_router()
    media = router.crossed(with_options(ip.udp(MEDIA, FAR_MEDIA, b"media")), Side.INSIDE)
    assert media.header[20:] == b"\x01\x01\x01\x00"
    assert media.source == Endpoint(PUBLIC, MEDIA.port)
    emission = router.one(with_options(ip.udp(PHONE, SERVER, OPTIONS)), Side.INSIDE)
    assert emission.changed
    assert b"<sip:alice@203.0.113.7" in emission.packet
    assert emission.packet[20:24] == b"\x01\x01\x01\x00"
    unchanged = router.one(with_options(ip.udp(PHONE, SERVER, b"\r\n\r\n")), Side.INSIDE)
    assert (unchanged.side, unchanged.changed) == (Side.OUTSIDE, False)


# -- packets that end here -------------------------------------------------------------------------


@pytest.mark.parametrize("ttl", [0, 1])
@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("known", [False, True])
def test_ttl_that_ends_here_is_answered(new_router: RouterMaker, ttl: int, side: Side, known: bool) -> None:
    router = new_router()
    if known:
        router.send(MEDIA, FAR_MEDIA)
        router.receive(FAR_MEDIA, MEDIA.port)
    ends = (MEDIA, FAR_MEDIA) if side is Side.INSIDE else (FAR_MEDIA, Endpoint(PUBLIC, MEDIA.port))
    packet = ip.udp(*ends, b"probe", ttl=ttl)
    emission = router.one(packet, side)
    assert (emission.side, emission.originated) == (side, True)
    error = parse(emission.packet)
    assert (error.icmp_type, error.icmp_code) == (11, 0)
    assert (error.src, error.dst) == (ROUTER if side is Side.INSIDE else PUBLIC, ends[0].ip)
    assert error.payload == packet
    assert error.ttl == 64


def test_hop_limit_that_ends_here(new_router: RouterMaker) -> None:
    emission = new_router().one(ip.udp(PHONE6, SERVER6, b"", ttl=1), Side.INSIDE)
    error = parse(emission.packet)
    assert (emission.side, error.src, error.dst) == (Side.INSIDE, "2001:db8:1::1", PHONE6.ip)
    assert (error.icmp_type, error.icmp_code) == (3, 0)


def test_no_error_about_an_error(new_router: RouterMaker) -> None:
    error = parse(icmp_error(MEDIA.ip, PORT_UNREACHABLE, ip.udp(FAR_MEDIA, MEDIA, b"")))
    assert new_router().fate(bytes(error.with_(ttl=1)), Side.INSIDE) is Fate.TTL_EXCEEDED


@pytest.mark.parametrize("ttl", [1, 64])
def test_packets_to_the_router_itself(new_router: RouterMaker, ttl: int) -> None:
    """Any TTL is enough, since they go no further."""
    router = new_router()
    echo = parse(icmp_echo(PHONE.ip, ROUTER, 7, 3, b"ping")).with_(ttl=ttl)
    emission = router.one(bytes(echo), Side.INSIDE)
    assert (emission.side, emission.originated) == (Side.INSIDE, True)
    assert emission.packet == icmp_echo(ROUTER, PHONE.ip, 7, 3, b"ping", reply=True)
    datagram = ip.udp(PHONE, Endpoint(ROUTER, 53), b"query", ttl=ttl)
    emission = router.one(datagram, Side.INSIDE)
    assert (emission.side, emission.originated) == (Side.INSIDE, True)
    assert emission.packet == icmp_error(ROUTER, PORT_UNREACHABLE, datagram)
    segment = ip.tcp(PHONE, Endpoint(ROUTER, 80), flags=ip.SYN, ttl=ttl)
    assert router.fate(segment, Side.INSIDE) is Fate.FOR_ROUTER
    assert router.gateway.nat.bindings == []


def test_packets_that_are_none_of_this_routers_business(new_router: RouterMaker) -> None:
    router = new_router()
    foreign = ip.udp(Endpoint("10.0.0.1", 1), SERVER, b"")
    assert router.end(foreign, Side.INSIDE) == (Fate.FOREIGN_SOURCE, "10.0.0.1")
    local = ip.udp(PHONE, Endpoint("192.168.1.21", 5060), b"")
    assert router.end(local, Side.INSIDE) == (Fate.INSIDE_DESTINATION, "192.168.1.21")
    elsewhere = ip.udp(SERVER, Endpoint("203.0.113.8", 5060), b"")
    assert router.end(elsewhere, Side.OUTSIDE) == (Fate.FOREIGN_DESTINATION, "203.0.113.8")
    gre = parse(ip.udp(PHONE, SERVER, b"x" * 8))
    for side, ends in ((Side.INSIDE, (PHONE.ip, SERVER.ip)), (Side.OUTSIDE, (SERVER.ip, PUBLIC))):
        header = gre.header[:9] + bytes((47,)) + gre.header[10:]
        packet = bytes(ip.Packet(4, 47, *ends, 0, 0, header, b"", b"x" * 8))
        assert router.end(packet, side) == (Fate.NOT_TRANSLATED, "47")
    assert router.gateway.nat.bindings == []


# -- IPv6 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("filtering", [None, *Dependence])
def test_ipv6_passes_untranslated_behind_its_filter(
    new_router: RouterMaker, filtering: Dependence | None
) -> None:
    router = new_router(ipv6_filtering=filtering, udp_timeout=60)
    sources = {
        "same": SERVER6,
        "other port": SERVER6._replace(port=9),
        "other address": Endpoint("2001:db8:9::11", 5060),
    }
    lets_in = {
        None: {*sources},
        Dependence.ENDPOINT_INDEPENDENT: {*sources},
        Dependence.ADDRESS_DEPENDENT: {"same", "other port"},
        Dependence.ADDRESS_AND_PORT_DEPENDENT: {"same"},
    }[filtering]

    def passing() -> set[str]:
        packets = {name: ip.udp(source, PHONE6, b"in") for name, source in sources.items()}
        found = {name: router.one(packet, Side.OUTSIDE) for name, packet in packets.items()}
        for name, each in found.items():
            assert each.packet == packets[name]
        return {name for name, each in found.items() if each.side is Side.INSIDE}

    assert passing() == (set(sources) if filtering is None else set())
    packet = ip.udp(PHONE6, SERVER6, b"out")
    assert bytes(router.one(packet, Side.INSIDE).packet) == packet
    assert passing() == lets_in
    router.now = 59.999
    assert passing() == lets_in
    router.now = 60.0
    assert passing() == (set(sources) if filtering is None else set())


def test_ipv6_errors_pass_the_filter_and_router_traffic_does_not(new_router: RouterMaker) -> None:
    router = new_router()
    error = icmp_error("2001:db8:9::1", PACKET_TOO_BIG, ip.udp(PHONE6, SERVER6, b""), mtu=1280)
    assert router.one(error, Side.OUTSIDE).packet == error
    for own in ("2001:db8:1::1", "fe80::1", "ff02::1"):
        assert router.fate(ip.udp(PHONE6, Endpoint(own, 9), b""), Side.INSIDE) is Fate.FOR_ROUTER


def test_ipv6_has_timers_by_protocol(new_router: RouterMaker) -> None:
    router = new_router(tcp_timeout=8000, udp_timeout=60)
    router.one(ip.tcp(PHONE6, SERVER6, flags=ip.SYN), Side.INSIDE)
    back = ip.tcp(SERVER6, PHONE6, flags=ip.SYN | ip.ACK)
    router.now = 7999.0
    assert router.one(back, Side.OUTSIDE).side is Side.INSIDE
    router.now = 8000.0
    assert router.one(back, Side.OUTSIDE).side is None


def test_sip_over_ipv6_keeps_its_addresses(correct_router: RouterMaker) -> None:
    """Nothing is translated in them, neither IPv6 literals nor IPv4 ones."""
    sdp = b"v=0\r\no=a 1 1 IN IP6 2001:db8:1::20\r\nc=IN IP6 2001:db8:1::20\r\nm=audio 49170 RTP/AVP 0\r\n"
    text = (
        b"INVITE sip:bob@lab.test SIP/2.0\r\nVia: SIP/2.0/UDP [2001:db8:1::20]:5060;rport\r\n"
        b"Contact: <sip:alice@[2001:db8:1::20]>\r\nCall-ID: 1\r\nContent-Length: %d\r\n\r\n" % len(sdp)
    )
    packet = ip.udp(PHONE6, SERVER6, text + sdp)
    router = correct_router()
    emission = router.one(packet, Side.INSIDE)
    assert (emission.packet, emission.changed, emission.error) == (packet, False, "")
    assert router.gateway.nat.bindings == []


def test_a_model_works_on_ipv6_too(new_router: RouterMaker, acting_model: ModelMaker) -> None:
    grow = acting_model(lambda message, context: setattr(message, "body", b"x" * 100))
    router = new_router(grow)
    emission = router.one(ip.udp(PHONE6, SERVER6, OPTIONS), Side.INSIDE)
    assert emission.changed
    assert parse(emission.packet).payload == OPTIONS + b"x" * 100
    drop = new_router(acting_model(lambda message, context: context.drop("no IPv6")))
    assert drop.end(ip.udp(PHONE6, SERVER6, OPTIONS), Side.INSIDE) == (Fate.DROPPED_BY_MODEL, "no IPv6")


# -- the ALG ---------------------------------------------------------------------------------------


def boom(message: SipMessage, context: Context) -> None:
    message.start_line = b"half done\r\n"
    raise KeyError("boom")


@pytest.mark.parametrize("side", Side)
def test_a_model_that_raises_stalls_nothing(
    new_router: RouterMaker, acting_model: ModelMaker, side: Side
) -> None:
    router = new_router(acting_model(boom))
    plain = new_router(NONE)
    for each in (router, plain):
        each.send(PHONE, SERVER, b"\r\n\r\n")
    ends = (PHONE, SERVER) if side is Side.INSIDE else (SERVER, Endpoint(PUBLIC, PHONE.port))
    for packet in (ip.udp(*ends, OPTIONS), with_options(ip.udp(*ends, OPTIONS))):
        emission = router.one(packet, side)
        assert emission.packet == plain.one(packet, side).packet
        assert (emission.fate, emission.error) == (Fate.FORWARDED, "KeyError: 'boom'")
        assert not emission.changed


def test_a_model_that_leaves_no_bytes_behind_raises_too(
    new_router: RouterMaker, acting_model: ModelMaker
) -> None:
    router = new_router(acting_model(lambda message, context: setattr(message, "body", "text")))
    emission = router.one(ip.udp(PHONE, SERVER, OPTIONS), Side.INSIDE)
    assert emission.side is Side.OUTSIDE
    assert emission.error.startswith("TypeError")


@pytest.mark.parametrize(
    "act",
    [
        lambda message, context: context.answer(message),
        lambda message, context: context.answer("SIP/2.0 200 OK"),
        lambda message, context: context.answer(b"x" * 65508),
        lambda message, context: context.drop(message),
        lambda message, context: context.deliver_elsewhere(("192.168.1.20", 5060)),
        lambda message, context: context.deliver_elsewhere(Endpoint("192.168.1.20", "5060")),  # type: ignore[arg-type]
        lambda message, context: context.deliver_elsewhere(Endpoint("192.168.1.20", 5060.0)),  # type: ignore[arg-type]
        lambda message, context: context.deliver_elsewhere(Endpoint(b"\xc0\xa8\x01\x14", 5060)),  # type: ignore[arg-type]
        lambda message, context: context.renew_mapping("now"),
        lambda message, context: context.public("192.168.1.20:5060"),
        lambda message, context: context.private(None),
        lambda message, context: context.open_media(context.inside, "call", "60"),
        lambda message, context: context.open_media(context.inside, "call", float("nan")),
        lambda message, context: context.open_media(context.inside, "call", 60.0, admit="198.51.100.10"),
        lambda message, context: context.open_port(None, "call", 60.0, first=7070),
        lambda message, context: context.open_port(context.inside, "call", 60.0, first="7070"),
        lambda message, context: context.hold_registration(message, 60.0),
        lambda message, context: context.expect(context.inside, "5060", "", 60.0),
        lambda message, context: context.expect(context.inside, 5060, None, 60.0),
        lambda message, context: context.limit_media(context.outside.port, "60"),
    ],
)
@pytest.mark.parametrize("options", [False, True])
def test_a_wrong_type_is_the_model_s_error(
    new_router: RouterMaker, acting_model: ModelMaker, act: Callable[[Any, Any], object], options: bool
) -> None:
    router = new_router(acting_model(act))
    router.send(PHONE, SERVER, b"\r\n\r\n")
    for ends, side in (
        ((PHONE, SERVER), Side.INSIDE),
        ((SERVER, Endpoint(PUBLIC, PHONE.port)), Side.OUTSIDE),
    ):
        packet = ip.udp(*ends, OPTIONS)
        emission = router.one(with_options(packet) if options else packet, side)
        assert (emission.side, emission.fate) == (side.other, Fate.FORWARDED)
        assert emission.error.startswith(("TypeError: ", "ValueError: "))
        assert parse(emission.packet).payload == OPTIONS


def test_a_model_that_drops_says_why(new_router: RouterMaker, acting_model: ModelMaker) -> None:
    router = new_router(acting_model(lambda message, context: context.drop("I do not like it")))
    for packet in (ip.udp(PHONE, SERVER, OPTIONS), with_options(ip.udp(PHONE, SERVER, OPTIONS))):
        assert router.end(packet, Side.INSIDE) == (Fate.DROPPED_BY_MODEL, "I do not like it")
    assert router.one(ip.udp(PHONE, SERVER, b"\r\n\r\n"), Side.INSIDE).side is Side.OUTSIDE


def grown_to(size: int) -> Callable[[SipMessage, Context], None]:
    def grow(message: SipMessage, context: Context) -> None:
        message.body = b"x" * (size - len(bytes(message)))

    return grow


@pytest.mark.parametrize("options", [False, True])
@pytest.mark.parametrize(("size", "cleared"), [(1400, False), (1472, False), (1473, True), (9000, True)])
def test_df_is_cleared_when_the_alg_outgrows_the_mtu(
    new_router: RouterMaker, acting_model: ModelMaker, size: int, cleared: bool, options: bool
) -> None:
    router = new_router(acting_model(grown_to(size - 4 * options)))
    packet = ip.udp(PHONE, SERVER, OPTIONS)
    emission = router.one(with_options(packet) if options else packet, Side.INSIDE)
    assert len(emission.packet) == size + 28
    assert parse(emission.packet).dont_fragment is not cleared


def test_df_stays_on_a_packet_that_the_alg_made_no_larger(
    new_router: RouterMaker, acting_model: ModelMaker
) -> None:
    router = new_router(acting_model(lambda message, context: setattr(message, "body", b"y" * 1500)))
    emission = router.one(ip.udp(PHONE, SERVER, OPTIONS + b"x" * 1500), Side.INSIDE)
    assert emission.changed
    assert parse(emission.packet).dont_fragment


@pytest.mark.parametrize("six", [False, True])
def test_larger_than_ip_allows(new_router: RouterMaker, acting_model: ModelMaker, six: bool) -> None:
    router = new_router(acting_model(grown_to(65536)))
    packet = ip.udp(PHONE6, SERVER6, OPTIONS) if six else ip.udp(PHONE, SERVER, OPTIONS)
    for each in (packet,) if six else (packet, with_options(packet)):
        assert router.fate(each, Side.INSIDE) is Fate.TOO_LARGE
    at_most = new_router(acting_model(grown_to(65507)))
    assert len(at_most.one(ip.udp(PHONE, SERVER, OPTIONS), Side.INSIDE).packet) == 65535


def test_a_rewritten_datagram_without_checksum_stays_without(correct_router: RouterMaker) -> None:
    packet = ip.udp(PHONE, SERVER, OPTIONS)
    emission = correct_router().one(packet[:26] + b"\0\0" + packet[28:], Side.INSIDE)
    assert emission.changed
    assert emission.packet[26:28] == b"\0\0"


@pytest.mark.parametrize(
    ("policy", "udp", "tcp"),
    [
        (Policy(), True, True),
        (Policy(ports=frozenset({5070})), False, False),
        (Policy(transports=frozenset({"udp"})), True, False),
        (Policy(transports=frozenset({"tcp"})), False, True),
    ],
)
def test_what_is_inspected_depends_on_the_peers_port(
    new_router: RouterMaker, acting_model: ModelMaker, policy: Policy, udp: bool, tcp: bool
) -> None:
    seen: list[int] = []
    model = acting_model(lambda message, context: seen.append(context.protocol), policy=policy)
    router = new_router(model)
    router.one(ip.udp(PHONE._replace(port=40000), SERVER, OPTIONS), Side.INSIDE)
    router.one(ip.udp(PHONE, SERVER._replace(port=7000), OPTIONS), Side.INSIDE)
    phone = PHONE._replace(port=40000)
    for flags, text in ((ip.SYN, b""), (ip.ACK, OPTIONS)):
        router.one(ip.tcp(phone, SERVER, text, seq=flags == ip.ACK, flags=flags), Side.INSIDE)
        if flags == ip.SYN:
            public = Endpoint(PUBLIC, phone.port)
            router.one(ip.tcp(SERVER, public, ack=1, flags=ip.SYN | ip.ACK), Side.OUTSIDE)
    assert seen == [ip.UDP] * udp + [ip.TCP] * tcp


def test_a_step_sees_both_ends_and_the_direction(new_router: RouterMaker, acting_model: ModelMaker) -> None:
    seen: list[tuple[bool, Endpoint, Endpoint, Endpoint, float]] = []

    def look(message: SipMessage, context: Context) -> None:
        seen.append((context.outbound, context.inside, context.outside, context.remote, context.now))

    router = new_router(acting_model(look))
    router.send(PHONE, SERVER, OPTIONS)
    router.now = 1.5
    router.receive(SERVER, PHONE.port, OPTIONS)
    public = Endpoint(PUBLIC, PHONE.port)
    assert seen == [(True, PHONE, public, SERVER, 0.0), (False, PHONE, public, SERVER, 1.5)]


@pytest.mark.parametrize("policy_timeout", [20.0, 900.0])
def test_the_policys_signalling_timeout(
    new_router: RouterMaker, acting_model: ModelMaker, policy_timeout: float
) -> None:
    model = acting_model(lambda message, context: None, policy=Policy(signalling_timeout=policy_timeout))
    router = new_router(model, udp_timeout=300)
    stun = Endpoint("198.51.100.10", 3478)
    router.send(PHONE, stun)
    router.send(PHONE, stun)  # by the short way from here on
    router.send(PHONE, SERVER, OPTIONS)
    router.now = policy_timeout / 2
    router.send(PHONE, stun)
    router.now = policy_timeout * 1.5 - 0.001
    assert router.receive(SERVER, PHONE.port) is not None
    router.now = policy_timeout * 1.5
    assert router.receive(SERVER, PHONE.port) is None


def test_ports_beyond_65535_in_messages_open_nothing(correct_router: RouterMaker) -> None:
    sdp = b"v=0\r\no=a 1 1 IN IP4 192.168.1.20\r\nc=IN IP4 192.168.1.20\r\nm=audio 70000 RTP/AVP 0\r\n"
    text = OPTIONS.replace(b".20>", b".20:99999>").replace(b"\r\n\r\n", b"\r\nCall-ID: 1\r\n\r\n") + sdp
    router = correct_router()
    emission = router.one(ip.udp(PHONE, SERVER, text), Side.INSIDE)
    assert not emission.error
    assert [each.inside for each in router.gateway.nat.bindings] == [PHONE]


# -- the short way gives the same as the long way --------------------------------------------------

CALL = (
    b"INVITE sip:bob@lab.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.20;rport\r\nCall-ID: 1\r\n"
    b"CSeq: 1 INVITE\r\nContact: <sip:alice@192.168.1.20>\r\n\r\n"
    b"v=0\r\no=a 1 1 IN IP4 192.168.1.20\r\nc=IN IP4 192.168.1.20\r\nm=audio 49170 RTP/AVP 0\r\n"
)
REGISTERED = (
    b"SIP/2.0 200 OK\r\nCall-ID: 2\r\nCSeq: 1 REGISTER\r\nTo: <sip:alice@lab.test>\r\n"
    b"Contact: <sip:alice@203.0.113.7:%d>;expires=%d\r\n\r\n"
)
TEXTS = [
    b"",
    b"media",
    CALL,
    b"SIP/2.0 200 OK\r\nCall-ID: 1\r\nCSeq: 2 BYE\r\n\r\n",
    REGISTERED % (5060, 40),
    REGISTERED % (5060, 4),
    REGISTERED % (5060, 0),
]
INSIDE_ENDS = [PHONE, MEDIA, Endpoint("192.168.1.20", 49171), Endpoint("192.168.1.21", 5060)]
OUTSIDE_ENDS = [SERVER, Endpoint("198.51.100.10", 30000), Endpoint("192.0.2.66", 5060)]
PUBLIC_PORTS = [5060, 5062, 49170, 49171, 49172, 49173, 1024, 1025, 1026]

STEP = st.one_of(
    st.tuples(
        st.just("out"), st.sampled_from(INSIDE_ENDS), st.sampled_from(OUTSIDE_ENDS), st.sampled_from(TEXTS)
    ),
    st.tuples(
        st.just("in"), st.sampled_from(OUTSIDE_ENDS), st.sampled_from(PUBLIC_PORTS), st.sampled_from(TEXTS)
    ),
    st.tuples(st.just("wait"), st.sampled_from([0.5, 2.0, 4.0, 5.0, 9.5, 10.0, 35.0])),
    st.tuples(
        st.just("open"),
        st.sampled_from(PUBLIC_PORTS),
        st.sampled_from([None, *OUTSIDE_ENDS]),
        st.sampled_from([1.0, 6.0, 20.0]),
    ),
    st.tuples(st.just("reserve"), st.sampled_from(INSIDE_ENDS), st.booleans()),
    st.tuples(st.just("close")),
)


def act(gateway: Gateway, step: tuple[object, ...], now: float) -> object:
    """Do one thing to a gateway; returns the result."""
    nat = gateway.nat
    match step:
        case ("out", Endpoint() as source, Endpoint() as remote, bytes(text)):
            return gateway.handle(ip.udp(source, remote, text), Side.INSIDE, now)
        case ("in", Endpoint() as remote, int(port), bytes(text)):
            return gateway.handle(ip.udp(remote, Endpoint(PUBLIC, port), text), Side.OUTSIDE, now)
        case ("open", int(port), whom, float(lifetime)):
            binding = nat.at_port(UDP, port, now)
            if binding is not None:
                assert whom is None or isinstance(whom, Endpoint)
                nat.open_pinhole(binding, whom, now + lifetime, "test")
        case ("reserve", Endpoint() as inside, bool(pair)):
            binding = nat.reserve(UDP, inside, now, pair=pair and inside.port % 2 == 0)
            nat.open_pinhole(binding, None, now + 3.0, "reserve")
        case ("close",):
            return nat.close_pinholes("test")
    return None


def table(gateway: Gateway, now: float) -> list[tuple[object, ...]]:
    return [
        (
            each.inside,
            each.outside,
            each.expires,
            list(each.remotes),
            [hole.expires for hole in each.pinholes],
        )
        for each in gateway.nat.bindings
        if each.alive(now)
    ]


@given(
    steps=st.lists(STEP, max_size=40),
    config=st.builds(
        NatConfig,
        mapping=st.sampled_from(Dependence),
        filtering=st.sampled_from(Dependence),
        refresh=st.sampled_from(Refresh),
        udp_timeout=st.just(10.0),
    ),
    correct=st.booleans(),
    signalling=st.sampled_from([None, 5.0, 30.0]),
)
@settings(max_examples=400, deadline=None)
def test_known_flows_are_treated_as_if_they_were_unknown(
    steps: list[tuple[object, ...]], config: NatConfig, correct: bool, signalling: float | None
) -> None:
    model = Model(
        "test",
        Card(""),
        Recipe(last=CORRECT.steps if correct else (), policy={"signalling_timeout": signalling}),
    )

    def gateway() -> Gateway:
        return Gateway(
            model,
            public_ip=PUBLIC,
            inside_networks=["192.168.1.0/24"],
            nat=config,
            rng=random.Random(0),
        )

    short, long = gateway(), gateway()
    now = 0.0
    for step in steps:
        if step[0] == "wait":
            assert isinstance(step[1], float)
            now += step[1]
            continue
        for flows in long._treatment.flows.known:
            flows.clear()
        outcome = act(short, step, now)
        assert outcome == act(long, step, now)
        assert table(short, now) == table(long, now)
        if isinstance(outcome, list):
            for each in outcome:
                assert isinstance(each, Emission)
                assert each.side is None or ip.verify(each.packet) == []


def test_the_short_way_is_taken(new_router: RouterMaker) -> None:
    """Otherwise the comparison above would compare nothing."""
    router = new_router()
    for _ in range(2):
        router.send(MEDIA, FAR_MEDIA)
        router.receive(FAR_MEDIA, MEDIA.port)
    assert [len(flows) for flows in router.gateway._treatment.flows.known] == [1, 1]
    flow = router.gateway._treatment.flows.known[Side.OUTSIDE][
        ip.udp(FAR_MEDIA, Endpoint(PUBLIC, MEDIA.port), b"")[12:24]
    ]
    flow.addresses = flow.addresses[:6] + bytes((0, 99)) + flow.addresses[8:]
    (emission,) = router.gateway.handle(
        ip.udp(FAR_MEDIA, Endpoint(PUBLIC, MEDIA.port), b""), Side.OUTSIDE, 0.0
    )
    assert parse(emission.packet).dst == "192.168.0.99"
