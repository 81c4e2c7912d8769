"""Faults in session descriptions and media: what they do during a call, and what they leave alone."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siplab.alg_models.catalogue import load
from siplab.alg_models.samples import PHONE, PUBLIC, REGISTRAR, RELAY, all_samples, cross
from siplab.alg_models.samples.basic import FAR_SDP, INCOMING, INCOMING_OK, INVITE, INVITE_OK, REGISTER, SDP
from siplab.alg_models.samples.media import (
    ACK,
    EARLY,
    HELD,
    HOLD,
    ICE,
    NAMED_CONNECTION,
    NAMED_ORIGIN,
    ODD,
    PHONE_EARLY,
    REINVITE,
    RELAYS,
    RTCP,
    STREAMS,
    UPDATE,
    with_body,
    without_content_length,
)
from siplab.lab.errors import UsageError
from siplab.lab.gateway.gateway import Gateway, Side
from siplab.lab.gateway.nat_config import NatConfig, PortAllocation
from siplab.lab.wire import ip
from siplab.lab.wire.ip import ACK as ACK_FLAG
from siplab.lab.wire.ip import SYN, Endpoint
from siplab.lab.wire.sip import SipMessage, split_stream

MODELS = load(plugins=False)
OUTSIDE_PORT = PUBLIC.port
RTP = Endpoint(PHONE.ip, 49170)


class Home:
    """A router with a model and a phone behind it, over time."""

    def __init__(
        self,
        spec: str,
        *,
        networks: tuple[str, ...] = ("192.168.1.0/24",),
        first_port: int = OUTSIDE_PORT,
        last_port: int = 65535,
    ) -> None:
        self.gateway = Gateway(
            MODELS.get(spec),
            public_ip=PUBLIC.ip,
            inside_networks=networks,
            nat=NatConfig(
                port_allocation=PortAllocation.SEQUENTIAL,
                first_port=first_port,
                last_port=last_port,
                udp_timeout=60.0,
            ),
            rng=random.Random(0),
        )

    def out(
        self, payload: bytes, now: float = 0.0, *, source: Endpoint = PHONE, target: Endpoint = REGISTRAR
    ) -> ip.Packet | None:
        """The packet that leaves for the internet, or ``None``."""
        return self._send(ip.udp(source, target, payload), Side.INSIDE, now)

    def into(
        self, payload: bytes, now: float = 0.0, *, source: Endpoint = REGISTRAR, port: int = OUTSIDE_PORT
    ) -> ip.Packet | None:
        """The packet that reaches the LAN, or ``None``."""
        return self._send(ip.udp(source, Endpoint(PUBLIC.ip, port), payload), Side.OUTSIDE, now)

    def _send(self, packet: bytes, side: Side, now: float) -> ip.Packet | None:
        emissions = self.gateway.handle(packet, side, now)
        assert not any(each.error for each in emissions)
        left = [each.packet for each in emissions if each.side is side.other]
        return ip.parse(left[0]) if left else None

    def said(self, payload: bytes, now: float = 0.0) -> bytes:
        """What the server receives when the phone sends a message."""
        packet = self.out(payload, now)
        assert packet is not None
        return packet.payload

    def heard(self, payload: bytes, now: float = 0.0) -> bytes:
        """What the phone receives when the server sends a message."""
        packet = self.into(payload, now)
        assert packet is not None
        return packet.payload

    def media_in(self, port: int, now: float = 0.0, *, source: Endpoint = RELAY) -> Endpoint | None:
        """The endpoint in the LAN that gets media sent to a public port."""
        packet = self.into(b"\x80voice", now, source=source, port=port)
        return packet.destination if packet else None

    def media_out(self, now: float = 0.0, *, source: Endpoint = RTP) -> Endpoint:
        """The public endpoint from which the phone's media leave."""
        packet = self.out(b"\x80voice", now, source=source, target=RELAY)
        assert packet is not None
        return packet.source


def lines(message: bytes) -> list[bytes]:
    return message.split(b"\r\n")


def value(message: bytes, begins: bytes) -> list[bytes]:
    """The lines of a message that begin with ``begins``."""
    return [line for line in lines(message) if line.startswith(begins)]


def fits(message: bytes) -> bool:
    parsed = SipMessage.parse(message)
    return parsed.content_length == len(parsed.body)


# -- the rest of the message is as the correct ALG writes it -----------------------------------------

# By sample: how the lines begin in which a fault differs from the correct ALG.
DIFFERENCES: dict[tuple[str, str], set[bytes]] = {
    ("sdp-c-only", "media-streams"): {b"m=audio", b"m=image"},
    ("sdp-m-only", "media-streams"): {b"c=", b"o="},
    ("sdp-session-c-only", "media-streams"): {b"c="},
    ("sdp-session-c-only(level=media)", "media-streams"): {b"c="},
    ("sdp-last-media-wins", "media-relays"): {b"c=", b"o="},
    ("sdp-last-media-wins", "media-streams"): set(),
    ("sdp-origin-mismatch", "media-streams"): {b"o="},
    ("sdp-origin-mismatch(when=re-offer)", "invite"): set(),
    ("sdp-origin-mismatch(when=re-offer)", "incoming-ok"): set(),
    ("sdp-origin-mismatch(when=re-offer)", "media-reinvite"): {b"o="},
    ("sdp-rtcp-attr-stale", "media-rtcp"): {b"a=rtcp"},
    ("sdp-rtcp-attr-stale(part=port)", "media-rtcp"): {b"a=rtcp"},
    ("sdp-ice-mangled", "media-ice"): {b"a=candidate"},
    ("sdp-ice-mangled(candidates=address-only)", "media-ice"): {b"a=candidate"},
    ("content-length-stale", "media-streams"): {b"Content-Length"},
    ("content-length-multipart-short", "media-multipart"): {b"Content-Length"},
    ("content-length-multipart-short", "media-streams"): set(),
    ("missing-content-length-drop", "media-streams"): set(),
    ("fqdn-origin-drop", "media-named-connection"): set(),
    ("fqdn-origin-drop(line=connection)", "media-named-origin"): set(),
    ("garbage-address", "media-refused"): {b"c=", b"o="},
    ("garbage-address", "media-refused-video"): set(),
    ("port-zero-revived", "media-refused-video"): {b"m=video"},
    ("port-zero-revived", "media-streams"): set(),
    ("hold-zero-address-rewritten", "media-hold-zero"): {b"c=", b"m=audio"},
    ("hold-zero-address-rewritten", "media-hold"): set(),
    ("hold-zero-address-rewritten(line=origin)", "media-hold-zero"): {b"o="},
    ("hold-releases-media", "media-hold"): set(),
    ("second-stream-ignored", "media-streams"): {b"m=audio", b"m=image"},
    ("second-stream-ignored", "invite"): set(),
    ("odd-rtp-port", "media-odd"): {b"m=audio"},
    ("odd-rtp-port", "media-streams"): set(),
    ("late-offer-unhandled", "media-ack"): {b"m=audio", b"c=", b"o="},
    ("late-offer-unhandled", "media-update"): set(),
    ("late-offer-unhandled(update=false)", "media-update"): {b"m=audio", b"c=", b"o="},
    ("late-offer-unhandled", "incoming-ok"): set(),
    ("early-media-no-pinhole", "media-early"): set(),
    ("early-media-no-pinhole(mode=not-inspected)", "media-early"): {b"m=audio", b"c=", b"o="},
    ("early-media-no-pinhole(mode=not-inspected)", "incoming-ok"): set(),
    ("media-pinhole-source-restricted", "media-streams"): set(),
    ("media-sport-not-mapped", "media-streams"): set(),
}


@pytest.mark.parametrize(("spec", "name"), DIFFERENCES)
def test_everything_else_is_as_the_correct_alg_has_it(spec: str, name: str) -> None:
    right, wrong = lines(cross(MODELS.get("correct"), name).after), lines(cross(MODELS.get(spec), name).after)
    pairs = [(a, b) for a, b in zip(right, wrong, strict=True) if a != b]
    wanted = DIFFERENCES[spec, name]
    length = {b"Content-Length"} if fits(b"\r\n".join(wrong)) else set()  # only a result of the others
    found = {a for a, _ in pairs}
    assert {begin for begin in wanted if any(a.startswith(begin) for a in found)} == wanted
    for a, b in pairs:
        begin = next(begin for begin in (*wanted, *length) if a.startswith(begin))
        assert b.startswith(begin)


# Ports below 1024 are never media ports here; the same port twice has the same binding.
ports = st.one_of(st.just(0), st.integers(1024, 65534))
streams = st.lists(
    st.tuples(st.sampled_from([b"audio", b"video", b"image", b"message"]), ports, st.booleans()),
    min_size=1,
    max_size=5,
)


def session(chosen: list[tuple[bytes, int, bool]]) -> bytes:
    text = SDP[: SDP.index(b"m=")]
    for kind, port, own in chosen:
        text += b"m=%s %d RTP/AVP 0\r\n" % (kind, port) + (b"c=IN IP4 192.168.1.20\r\n" if own else b"")
    return text


@settings(max_examples=60, deadline=None)
@given(streams)
def test_any_streams(chosen: list[tuple[bytes, int, bool]]) -> None:
    """Which lines stay and which are translated, for any number of streams of any kind."""
    sent = with_body(INVITE, session(chosen))
    right = Home("correct").said(sent)

    ports_only = Home("sdp-m-only").said(sent)
    assert value(ports_only, b"m=") == value(right, b"m=")
    assert value(ports_only, b"c=") == value(sent, b"c=")

    addresses_only = Home("sdp-c-only").said(sent)
    assert value(addresses_only, b"m=") == value(sent, b"m=")
    assert value(addresses_only, b"c=") == value(right, b"c=")

    revived = value(Home("port-zero-revived(port=9)").said(sent), b"m=")
    assert revived == [line.replace(b" 0 RTP", b" 9 RTP") for line in value(right, b"m=")]

    first = Home("second-stream-ignored(handled=first)").said(sent)
    assert value(first, b"m=")[1:] == value(sent, b"m=")[1:]
    assert value(first, b"m=")[0] == value(right, b"m=")[0]
    assert value(first, b"c=") == value(right, b"c=")

    for spec in ("odd-rtp-port", "odd-rtp-port(rounding=up)"):
        for before, after in zip(value(sent, b"m="), value(Home(spec).said(sent), b"m="), strict=True):
            port = int(after.split()[1])
            assert port % 2 == 0
            assert (port == 0) == (b" 0 RTP" in before)

    for each in (ports_only, addresses_only, first):
        assert fits(each)


@pytest.mark.parametrize("name", ["invite-ok", "incoming-invite", "register-ok", "register"])
def test_what_comes_in_and_what_has_no_description_is_as_without_the_fault(name: str) -> None:
    right = cross(MODELS.get("correct"), name).after
    for spec in {spec for spec, _ in DIFFERENCES}:
        assert cross(MODELS.get(spec), name).after == right or (
            spec == "content-length-stale" and name == "incoming-invite"
        )


# -- addresses and attributes --------------------------------------------------------------------------


def test_a_refused_last_stream_is_not_the_last() -> None:
    home = Home("sdp-last-media-wins")
    home.said(INVITE)
    refused = RELAYS.replace(b"m=video 40002", b"m=video 0")
    assert b"c=IN IP4 198.51.100.20\r\nt=0" in home.heard(with_body(INVITE_OK, refused))
    assert b"c=IN IP4 198.51.100.21\r\nt=0" in home.heard(with_body(INVITE_OK, RELAYS))
    only_media_level = RELAYS.replace(b"c=IN IP4 198.51.100.20\r\nt", b"t")
    got = home.heard(with_body(INVITE_OK, only_media_level))
    assert value(got, b"c=") == [b"c=IN IP4 198.51.100.21"]
    assert value(got, b"o=") == [b"o=bob 2 1 IN IP4 198.51.100.21"]


def test_the_origin_of_a_later_offer_differs_from_the_first() -> None:
    home = Home("sdp-origin-mismatch(when=re-offer)")
    first, later = home.said(INVITE), home.said(REINVITE, 5.0)
    assert value(first, b"o=") == [b"o=alice 1 1 IN IP4 203.0.113.7"]
    assert value(later, b"o=") == [b"o=alice 1 1 IN IP4 192.168.1.20"]
    assert value(later, b"c=") == value(first, b"c=") == [b"c=IN IP4 203.0.113.7"]
    steady = Home("sdp-origin-mismatch")
    assert value(steady.said(INVITE), b"o=") == value(steady.said(REINVITE), b"o=")


def test_rtcp_half_translated() -> None:
    other = RTCP.replace(b"a=rtcp:49171", b"a=rtcp:50000")
    sent = with_body(INVITE, other)
    assert value(Home("sdp-rtcp-attr-stale(part=port)").said(sent), b"a=rtcp") == [
        b"a=rtcp:50000 IN IP4 203.0.113.7"
    ]
    bare = with_body(INVITE, SDP + b"a=rtcp:50000\r\n")
    assert b"a=rtcp:50000\r\n" in Home("sdp-rtcp-attr-stale(part=port)").said(bare)
    rtcp = Endpoint(PHONE.ip, 50000)
    for spec, announced in (("correct", True), ("sdp-rtcp-attr-stale", False)):
        home = Home(spec)
        home.said(sent)
        arrives = [home.media_in(port) for port in range(OUTSIDE_PORT, OUTSIDE_PORT + 12)]
        assert RTP in arrives
        assert (rtcp in arrives) == announced


def test_rtcp_of_somebody_else() -> None:
    foreign = with_body(INVITE, SDP + b"a=rtcp:50000 IN IP4 192.0.2.9\r\n")
    assert b"a=rtcp:50000 IN IP4 192.0.2.9\r\n" in Home("sdp-rtcp-attr-stale(part=port)").said(foreign)


@pytest.mark.parametrize(
    "spec",
    [
        "sdp-c-only",
        "sdp-m-only",
        "sdp-session-c-only",
        "sdp-session-c-only(level=media)",
        "sdp-origin-mismatch",
        "second-stream-ignored(handled=first)",
        "odd-rtp-port",
    ],
)
def test_a_description_that_comes_back_is_undone(spec: str) -> None:
    """A call between two inside phones comes back from the server with this router's public address."""
    turned = SDP.replace(b"192.168.1.20", b"203.0.113.7").replace(b"49170", b"61004")
    home = Home(spec)
    home.said(INVITE)
    assert SipMessage.parse(home.heard(with_body(INVITE_OK, turned))).body == SDP


def test_candidates_get_no_way_in() -> None:
    second = ICE + b"a=candidate:2 1 UDP 1 192.168.1.20 50000 typ srflx raddr 192.168.1.20 rport 50000\r\n"
    mangled = Home("sdp-ice-mangled(candidates=address-only)").said(with_body(INVITE, second))
    assert value(mangled, b"a=candidate") == [
        b"a=candidate:1 1 UDP 2130706431 203.0.113.7 49170 typ host",
        b"a=candidate:2 1 UDP 1 203.0.113.7 50000 typ srflx raddr 203.0.113.7 rport 50000",
    ]
    for spec, announced in (("correct", True), ("sdp-ice-mangled", False)):
        home = Home(spec)
        home.said(with_body(INVITE, second))
        arrives = [home.media_in(port) for port in range(OUTSIDE_PORT, OUTSIDE_PORT + 12)]
        assert (Endpoint(PHONE.ip, 50000) in arrives) == announced


# -- lengths -------------------------------------------------------------------------------------------


def test_a_longer_body_is_cut() -> None:
    """The public address is longer here than the private one, so the receiver reads too little."""
    phone = Endpoint("10.0.0.5", 5060)
    home = Home("content-length-stale", networks=("10.0.0.0/24",))
    body = SDP.replace(b"192.168.1.20", b"10.0.0.5")
    packet = home.out(with_body(INVITE, body), source=phone)
    assert packet is not None
    seen = SipMessage.parse(packet.payload)
    assert seen.content_length == len(body) == len(seen.body) - 6
    assert seen.body[: len(body)].endswith(b"a=send")


@pytest.mark.parametrize(("spec", "whole"), [("correct", True), ("content-length-stale", False)])
def test_the_next_message_of_a_connection_is_damaged(spec: str, whole: bool) -> None:
    home = Home(spec)
    phone = Endpoint(PHONE.ip, 40000)
    invite, register = INVITE.replace(b"/UDP", b"/TCP"), REGISTER.replace(b"/UDP", b"/TCP")
    received = b""
    public = Endpoint(PUBLIC.ip, OUTSIDE_PORT)
    for data, side in (
        (ip.tcp(phone, REGISTRAR, seq=100, flags=SYN), Side.INSIDE),
        (ip.tcp(REGISTRAR, public, seq=500, ack=101, flags=SYN | ACK_FLAG), Side.OUTSIDE),
        (ip.tcp(phone, REGISTRAR, seq=101, ack=501), Side.INSIDE),
        (ip.tcp(phone, REGISTRAR, invite + register, seq=101, ack=501), Side.INSIDE),
    ):
        for each in home.gateway.handle(data, side, 0.0):
            assert not each.error
            if each.side is Side.OUTSIDE:
                received += ip.parse(each.packet).payload
    found = [piece for piece, _ in split_stream(received)]
    assert found[0].startswith(b"INVITE")
    assert found[1].startswith(b"REGISTER") == whole
    assert received.endswith(b"Content-Length: 0\r\n\r\n")


def test_a_line_like_a_version_is_no_description() -> None:
    sent = with_body(INVITE, b"text\r\nv=0\r\n")
    assert fits(Home("content-length-multipart-short").said(sent))


def test_a_length_in_its_compact_form_is_there() -> None:
    home = Home("missing-content-length-drop")
    compact = INVITE.replace(b"Content-Length:", b"l:")
    assert b"m=audio 61004" in home.said(compact)
    assert b"REGISTER" in home.said(without_content_length(REGISTER)), "without a description it passes"
    assert home.out(without_content_length(INVITE)) is None
    assert home.into(without_content_length(INVITE_OK)) is None
    assert home.into(INVITE_OK) is not None


# -- names and refused streams ----------------------------------------------------------------------


def test_names_are_dropped_where_they_stand_and_literals_pass() -> None:
    six = SDP.replace(b"o=alice 1 1 IN IP4 192.168.1.20", b"o=alice 1 1 IN IP6 2001:db8::1")
    for spec, kept, lost in (
        ("fqdn-origin-drop", NAMED_CONNECTION, NAMED_ORIGIN),
        ("fqdn-origin-drop(line=connection)", NAMED_ORIGIN, NAMED_CONNECTION),
    ):
        home = Home(spec)
        assert home.out(with_body(INVITE, kept)) is not None
        assert home.out(with_body(INVITE, six)) is not None
        assert home.out(with_body(INVITE, lost)) is None
        incoming = home.into(with_body(INVITE_OK, lost))
        assert (incoming is None) == (spec == "fqdn-origin-drop")


def test_streams_that_are_unknown_count_as_none() -> None:
    home = Home("garbage-address(address=192.0.2.77)")
    data = with_body(INVITE, SDP.replace(b"m=audio 49170 RTP/AVP 0", b"m=application 49170 UDP/BFCP *"))
    assert value(home.said(data), b"c=") == [b"c=IN IP4 192.0.2.77"]
    far = with_body(INVITE_OK, FAR_SDP.replace(b"m=audio 40000", b"m=audio 0"))
    assert value(home.heard(far), b"o=") == [b"o=bob 2 1 IN IP4 192.0.2.77"]
    assert b"192.0.2.77" not in home.heard(INVITE_OK)


def test_a_stream_that_the_far_side_refuses_stays_refused() -> None:
    home = Home("port-zero-revived")
    home.said(INVITE)
    assert b"m=audio 0 RTP" in home.heard(with_body(INVITE_OK, FAR_SDP.replace(b"audio 40000", b"audio 0")))


def test_the_revived_port_must_be_one() -> None:
    for port in (0, 65536):
        with pytest.raises(UsageError, match="parameter 'port'"):
            MODELS.get(f"port-zero-revived(port={port})")


# -- hold ---------------------------------------------------------------------------------------------


def test_hold_by_address_is_undone_with_its_port() -> None:
    """The far side is told to send to the same endpoint as before, so it goes on sending."""
    home = Home("hold-zero-address-rewritten")
    before = home.said(INVITE)
    held = home.said(with_body(REINVITE, HOLD), 5.0)
    assert value(held, b"m=") == value(before, b"m=") == [b"m=audio 61004 RTP/AVP 0"]
    assert value(held, b"c=") == value(before, b"c=")
    far_hold = with_body(INVITE_OK, FAR_SDP.replace(b"c=IN IP4 198.51.100.20", b"c=IN IP4 0.0.0.0"))
    assert b"c=IN IP4 0.0.0.0" in home.heard(far_hold, 6.0)


def test_hold_by_address_stays_without_a_free_port() -> None:
    home = Home("hold-zero-address-rewritten", last_port=OUTSIDE_PORT + 1)
    assert value(home.said(with_body(INVITE, HOLD)), b"c=") == [b"c=IN IP4 0.0.0.0"]


def test_hold_by_address_in_the_origin_both_ways() -> None:
    home = Home("hold-zero-address-rewritten(line=origin)")
    assert value(home.said(with_body(INVITE, HOLD)), b"o=") == [b"o=alice 1 1 IN IP4 0.0.0.0"]
    far_hold = with_body(INVITE_OK, FAR_SDP.replace(b"c=IN IP4 198.51.100.20", b"c=IN IP4 0.0.0.0"))
    assert value(home.heard(far_hold), b"o=") == [b"o=bob 2 1 IN IP4 0.0.0.0"]
    assert value(home.heard(INVITE_OK), b"o=") == [b"o=bob 2 1 IN IP4 198.51.100.20"]


HOLDS = {
    "sendonly": HELD,
    "0.0.0.0": HOLD,
    "inactive": SDP.replace(b"sendrecv", b"inactive"),
    "for the whole session": SDP.replace(b"a=sendrecv\r\n", b"").replace(b"m=", b"a=sendonly\r\nm="),
    "beside a refused stream": HELD + b"m=video 0 RTP/AVP 96\r\na=sendrecv\r\n",
}


@pytest.mark.parametrize("held", HOLDS.values(), ids=HOLDS)
def test_hold_closes_the_way_of_its_own_call_only(held: bytes) -> None:
    correct, faulty = Home("correct"), Home("hold-releases-media")
    other = INVITE.replace(b"b95c5d87", b"other").replace(b"m=audio 49170", b"m=audio 49180")
    for home in (correct, faulty):
        home.said(INVITE)
        home.said(other)
        assert home.media_in(61004, 1.0) == RTP
        assert home.media_out(1.0).port == 61004
        home.said(with_body(REINVITE, held), 5.0)
        assert home.media_in(61006, 6.0) == Endpoint(PHONE.ip, 49180)
    assert correct.media_in(61004, 6.0) == RTP
    assert faulty.media_in(61004, 6.0) is None
    resumed = REINVITE.replace(b"CSeq: 2", b"CSeq: 3")
    assert value(correct.said(resumed, 20.0), b"m=") == [b"m=audio 61004 RTP/AVP 0"]
    assert value(faulty.said(resumed, 20.0), b"m=") == [b"m=audio 61008 RTP/AVP 0"]
    assert faulty.media_in(61004, 21.0) is None, "a far end that keeps to the first port is not heard"
    assert faulty.media_in(61008, 21.0) == RTP


def test_hold_by_the_far_side_and_half_a_hold() -> None:
    home = Home("hold-releases-media")
    home.said(INVITE)
    home.heard(INVITE_OK)
    mixed = with_body(REINVITE, HELD + b"m=video 49190 RTP/AVP 96\r\na=sendrecv\r\n")
    home.said(mixed, 2.0)
    assert home.media_in(61004, 2.0) == RTP, "one stream goes on"
    home.heard(with_body(INVITE_OK, FAR_SDP.replace(b"sendrecv", b"sendonly")), 3.0)
    assert home.media_in(61004, 3.0) is None


# -- streams and ports -----------------------------------------------------------------------------------


def test_ignored_streams_have_no_way_in() -> None:
    for spec, arriving in (
        ("correct", {49170, 49171, 49172, 49173, 49180, 49181}),
        ("second-stream-ignored", {49170, 49171}),
    ):
        home = Home(spec)
        home.said(with_body(INVITE, STREAMS))
        found = {home.media_in(port) for port in range(OUTSIDE_PORT + 1, OUTSIDE_PORT + 12)} - {None}
        assert {each.port for each in found if each is not None} == arriving
    video = SDP + b"m=video 49190 RTP/AVP 96\r\nm=video 49192 RTP/AVP 96\r\n"
    assert value(Home("second-stream-ignored").said(with_body(INVITE, video)), b"m=") == [
        b"m=audio 61004 RTP/AVP 0",
        b"m=video 61006 RTP/AVP 96",
        b"m=video 49192 RTP/AVP 96",
    ]


def test_voice_for_an_odd_port_arrives_beside_it() -> None:
    for spec, lands in (("correct", 49171), ("odd-rtp-port", 49170), ("odd-rtp-port(rounding=up)", 49172)):
        home = Home(spec)
        (media,) = value(home.said(with_body(INVITE, ODD)), b"m=")
        assert home.media_in(int(media.split()[1])) == Endpoint(PHONE.ip, lands)


def test_an_even_public_port_that_is_the_rounded_one() -> None:
    """Then rounding down is harmless: the m= line stays, and both ports of the pair are open."""
    down = Home("odd-rtp-port", first_port=49168)
    assert value(down.said(with_body(INVITE, ODD)), b"m=") == [b"m=audio 49171 RTP/AVP 0"]
    assert down.media_in(49171) == Endpoint(PHONE.ip, 49171)
    up = Home("odd-rtp-port(rounding=up)", first_port=49170)
    assert value(up.said(with_body(INVITE, ODD)), b"m=") == [b"m=audio 49172 RTP/AVP 0"]


def test_an_odd_port_of_a_phone_that_knows_its_public_address() -> None:
    known = with_body(INVITE, ODD.replace(b"192.168.1.20", b"203.0.113.7"))
    for spec in ("odd-rtp-port", "odd-rtp-port(rounding=up)"):
        assert SipMessage.parse(Home(spec).said(known)).body == SipMessage.parse(known).body


def test_an_odd_port_that_gets_no_public_one_stays() -> None:
    for spec in ("odd-rtp-port", "odd-rtp-port(rounding=up)"):
        full = Home(spec, last_port=OUTSIDE_PORT + 1)
        sent = with_body(INVITE, ODD)
        seen = full.said(sent)
        assert value(seen, b"m=") == value(sent, b"m=")
        assert value(seen, b"c=") == value(sent, b"c=")
        foreign = with_body(INVITE, ODD.replace(b"192.168.1.20", b"192.0.2.9"))
        assert Home(spec).said(foreign).endswith(SipMessage.parse(foreign).body)


# -- when a description is looked at ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "handled"),
    [
        (INVITE, True),
        (UPDATE, True),
        (ACK, False),
        (INVITE.replace(b"INVITE", b"INFO"), False),
        (INCOMING_OK, True),
        (INCOMING_OK.replace(b"200 OK", b"183 Session Progress"), True),
        (INCOMING_OK.replace(b"200 OK", b"181 Forwarded"), False),
        (INCOMING_OK.replace(b"200 OK", b"202 Accepted"), False),
    ],
)
def test_late_descriptions(message: bytes, handled: bool) -> None:
    assert (b"c=IN IP4 203.0.113.7" in Home("late-offer-unhandled").said(message)) == handled
    assert b"c=IN IP4 203.0.113.7" in Home("correct").said(message)


def test_early_media_wait_for_the_answer() -> None:
    correct, faulty = Home("correct"), Home("early-media-no-pinhole")
    for home in (correct, faulty):
        assert value(home.said(INVITE), b"m=") == [b"m=audio 61004 RTP/AVP 0"]
        home.heard(EARLY, 0.5)
    assert correct.media_in(61004, 1.0) == RTP
    assert faulty.media_in(61004, 1.0) is None
    faulty.said(REGISTER, 50.0)  # keeps the signalling binding alive
    assert faulty.said(INVITE, 100.0).count(b"m=audio 61004") == 1, "the port is held meanwhile"
    faulty.heard(INVITE_OK, 120.0)
    assert faulty.media_in(61004, 121.0) == RTP
    assert faulty.media_in(61005, 121.0) == Endpoint(PHONE.ip, 49171)
    faulty.said(REINVITE, 130.0)
    assert faulty.media_in(61004, 131.0) == RTP, "inside a dialog nothing is closed again"


def test_one_answered_call_opens_no_other() -> None:
    home = Home("early-media-no-pinhole")
    home.said(INVITE)
    other = INVITE.replace(b"b95c5d87", b"other").replace(b"m=audio 49170", b"m=audio 49180")
    assert value(home.said(other), b"m=") == [b"m=audio 61006 RTP/AVP 0"]
    home.heard(INVITE_OK)
    assert home.media_in(61004) == RTP
    assert home.media_in(61006) is None


def test_early_media_pass_once_the_phone_sends() -> None:
    home = Home("early-media-no-pinhole")
    home.said(INVITE)
    assert home.media_out().port == 61004
    assert home.media_in(61004) == RTP


def test_early_media_of_an_incoming_call() -> None:
    for spec, early in (("correct", True), ("early-media-no-pinhole", False)):
        home = Home(spec)
        home.said(REGISTER)
        home.heard(INCOMING)
        home.said(PHONE_EARLY)
        assert (home.media_in(61004, 1.0) == RTP) == early
        home.said(INCOMING_OK, 2.0)
        assert home.media_in(61004, 3.0) == RTP


def test_only_the_server_gets_media_in_until_the_phone_sends() -> None:
    home = Home("media-pinhole-source-restricted")
    home.said(INVITE)
    server = Endpoint(REGISTRAR.ip, 30000)
    assert home.media_in(61004, source=server) == RTP
    assert home.media_in(61005, source=server) == Endpoint(PHONE.ip, 49171)
    assert home.media_in(61004) is None
    assert home.media_out().port == 61004
    assert home.media_in(61004) == RTP


def test_the_phones_voice_leaves_from_non_standard_port() -> None:
    correct, faulty = Home("correct"), Home("media-sport-not-mapped")
    for home in (correct, faulty):
        assert value(home.said(INVITE), b"m=") == [b"m=audio 61004 RTP/AVP 0"]
        assert home.media_in(61004) == RTP
    assert correct.media_out() == Endpoint(PUBLIC.ip, 61004)
    own = faulty.media_out()
    assert own.port not in (61004, 61005)
    assert faulty.media_out(1.0) == own, "one mapping for the whole call"
    assert faulty.media_in(own.port, 1.0) == RTP, "a far end that adapts is heard"
    assert faulty.media_in(61004, 1.0) == RTP
    contact = REGISTER.replace(b"<sip:alice@192.168.1.20:5060>", b"<sip:alice@192.168.1.20:5070>")
    (announced,) = value(faulty.said(contact, 1.5), b"Contact")
    second = faulty.out(REGISTER, 1.5, source=Endpoint(PHONE.ip, 5070))
    assert second is not None
    assert b":%d>" % second.source.port in announced, "only media are affected"
    again = faulty.out(INVITE, 2.0)
    assert again is not None
    assert again.source == PUBLIC, "signalling keeps its mapping"


def test_every_sample_of_this_subject_is_used() -> None:
    used = {example.sample for model in MODELS for example in model.card.examples}
    used |= {name for _, name in DIFFERENCES}
    assert {name for name in all_samples() if name.startswith("media-")} <= used
