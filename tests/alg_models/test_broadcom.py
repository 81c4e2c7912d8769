"""Broadcom's ALG, statement by statement: what it writes, leaves alone and lets in, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siplab.alg_models.exact.broadcom import MODEL
from siplab.alg_models.samples import PHONE, PUBLIC, REGISTRAR, RELAY, SECOND_PHONE, media, state, transport
from siplab.alg_models.samples.basic import (
    FAR_SDP,
    INCOMING,
    INCOMING_OK,
    INVITE,
    INVITE_OK,
    REGISTER,
    REGISTER_OK,
)
from siplab.alg_models.samples.headers import CHALLENGE
from siplab.lab.gateway.gateway import Side
from siplab.lab.wire import ip
from siplab.lab.wire.fragments import fragmented
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

if TYPE_CHECKING:
    from tests.alg_models.conftest import Line, LineMaker

VIA = b"192.168.1.20:5060;rport;"
CONTACT = b"<sip:alice@192.168.1.20:5060>"
PUBLIC_CONTACT = b"<sip:alice@203.0.113.7:61002>"
RTP_PORT = Endpoint(PUBLIC.ip, 49170)  # the phone's own number: the ALG chooses it, not the NAT
STRANGER = Endpoint("198.51.100.66", 4444)


@pytest.fixture
def line(new_line: LineMaker) -> Line:
    return new_line(MODEL)


def passed(line: Line, packet: bytes, side: Side) -> ip.Packet | None:
    """The packet that leaves on the other side, or ``None``."""
    (emission,) = line.gateway.handle(packet, side, line.now)
    assert not emission.error
    return None if emission.side is None else ip.parse(emission.packet)


def rtp_in(line: Line, source: Endpoint = STRANGER, port: int = RTP_PORT.port) -> Endpoint | None:
    """Where a packet from outside to a public media port arrives."""
    found = passed(line, ip.udp(source, Endpoint(PUBLIC.ip, port), state.RTP), Side.OUTSIDE)
    return found.destination if found else None


def changed(message: bytes, *pairs: tuple[bytes, bytes]) -> bytes:
    """A message with the first occurrence of each text replaced. Content-Length is not corrected."""
    for old, new in pairs:
        assert old in message, old
        message = message.replace(old, new, 1)
    return message


def body_lines(message: bytes) -> list[bytes]:
    return SipMessage.parse(message).body.split(b"\r\n")


# -- Via --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "leaves"),
    [
        (b"192.168.1.20:5060;rport;", b"203.0.113.7:61002;rport;"),
        (b"192.168.1.20;rport;", b"203.0.113.7:61002;rport;"),  # no port
        (b"192.168.1.20:5070;rport;", b"203.0.113.7:61002;rport;"),  # another port
        (b"203.0.113.7:5060;rport;", b"203.0.113.7:61002;rport;"),  # a phone that knows its public address
        (b"192.168.1.20: 5060;rport;", b"203.0.113.7:61002;rport;"),
        (b"192.168.1.21:5060;rport;", None),  # inside, but not the sender
        (b"192.168.1.20:0;rport;", None),
        (b"192.168.1.20:70000;rport;", None),
        (b"pbx.lan:5060;rport;", None),
        (b" 192.168.1.20:5060;rport;", None),  # a second blank
        (
            b"192.168.1.20:5060;rport=5060;received=192.168.1.20;",
            b"203.0.113.7:61002;rport=5060;received=192.168.1.20;",
        ),
    ],
)
def test_via_going_out(line: Line, written: bytes, leaves: bytes | None) -> None:
    sent = changed(REGISTER, (VIA, written))
    expected = changed(REGISTER, (VIA, leaves or written), (CONTACT, PUBLIC_CONTACT))
    assert line.out(sent) == expected


@pytest.mark.parametrize(
    ("name", "translated"),
    [
        (b"\r\nVia: SIP/2.0/UDP ", True),
        (b"\r\nVia:SIP/2.0/udp ", True),
        (b"\r\nv: SIP/2.0/UDP ", True),
        (b"\r\nX-Via: SIP/2.0/UDP ", True),
        (b"\r\nvia: SIP/2.0/UDP ", False),
        (b"\r\nVIA: SIP/2.0/UDP ", False),
        (b"\r\nV: SIP/2.0/UDP ", False),
        (b"\r\nVia : SIP/2.0/UDP ", False),
        (b"\r\nVia:\r\n SIP/2.0/UDP ", False),
        (b"\r\nVia: SIP/2.0/TCP ", False),
    ],
)
def test_via_is_found_by_its_letters(line: Line, name: bytes, translated: bool) -> None:
    sent = changed(REGISTER, (b"\r\nVia: SIP/2.0/UDP ", name))
    expected = changed(sent, (b"192.168.1.20:5060;", b"203.0.113.7:61002;")) if translated else sent
    assert line.out(sent) == changed(expected, (CONTACT, PUBLIC_CONTACT))


def test_the_first_via_that_fits_is_the_only_one(line: Line) -> None:
    above = b"Via: SIP/2.0/UDP 192.168.1.5:5060;branch=z9hG4bK1\r\n"
    below = b"Via: SIP/2.0/UDP 192.168.1.20:5060;branch=z9hG4bK0\r\n"
    sent = changed(REGISTER, (b"Via:", above + b"Via:"), (b"Max-Forwards", below + b"Max-Forwards"))
    assert line.out(sent) == changed(
        sent, (b"192.168.1.20:5060;rport", b"203.0.113.7:61002;rport"), (CONTACT, PUBLIC_CONTACT)
    )


def test_a_via_of_another_transport_ends_the_search(line: Line) -> None:
    sent = changed(REGISTER, (b"Via:", b"Via: SIP/2.0/TCP 192.168.1.5;branch=z9hG4bK1\r\nVia:"))
    assert line.out(sent) == changed(sent, (CONTACT, PUBLIC_CONTACT))


RESPONSES = [b"100 Trying", b"180 Ringing", b"183 Session Progress", b"200 OK"]
OTHERS = [b"181 Forwarded", b"202 Accepted", b"302 Moved", b"401 Unauthorized", b"404 Not Found", b"486 Busy"]


@pytest.mark.parametrize("status", RESPONSES + OTHERS)
def test_via_coming_in(line: Line, status: bytes) -> None:
    line.out(REGISTER)
    sent = changed(CHALLENGE, (b"401 Unauthorized", status))
    restored = changed(sent, (b"UDP 203.0.113.7:61002", b"UDP 192.168.1.20:5060"))
    assert line.back(sent) == (sent if status in RESPONSES else restored)


@pytest.mark.parametrize("status", RESPONSES)
def test_via_of_such_a_response_going_out(line: Line, status: bytes) -> None:
    """The phone's own address in a Via of a response, as in a loop through the phone."""
    line.out(REGISTER)
    sent = changed(INCOMING_OK, (b"200 OK", status), (b"198.51.100.10:5060", b"192.168.1.20:5060"))
    assert b"Via: SIP/2.0/UDP 192.168.1.20:5060;" in line.out(sent)


@pytest.mark.parametrize("status", RESPONSES)
def test_without_the_later_change_all_vias_are_restored(new_line: LineMaker, status: bytes) -> None:
    line = new_line(MODEL.with_parameters({"spare_via": False}))
    line.out(REGISTER)
    sent = changed(CHALLENGE, (b"401 Unauthorized", status))
    assert b"Via: SIP/2.0/UDP 192.168.1.20:5060;rport=61002" in line.back(sent)


def test_a_via_without_the_mapped_port_is_not_restored(line: Line) -> None:
    line.out(REGISTER)
    for place in (b"203.0.113.7", b"203.0.113.7:5060"):
        sent = changed(CHALLENGE, (b"203.0.113.7:61002", place))
        assert line.back(sent) == sent


# -- Contact ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "leaves"),
    [
        (b"Contact: <sip:alice@192.168.1.20:5060>", b"Contact: <sip:alice@203.0.113.7:61002>"),
        (b"m: <sip:alice@192.168.1.20:5060>", b"m: <sip:alice@203.0.113.7:61002>"),
        (b"Contact: <SIP:192.168.1.20:5060>", b"Contact: <SIP:203.0.113.7:61002>"),
        (b"P-Contact: <sip:a@192.168.1.20:5060>", b"P-Contact: <sip:a@203.0.113.7:61002>"),
        (b"Contact: <sip:alice@203.0.113.7>", b"Contact: <sip:alice@203.0.113.7:61002>"),
        (b"Contact: <sip:alice@192.168.1.20>", None),
        (b"Contact: <sip:alice@192.168.1.21:5060>", None),
        (b"Contact: <sip:alice@pbx.lan:5060>", None),
        (b"Contact: <sip:a;x=1@192.168.1.20:5060>", None),  # a semicolon before the @
        (b"Contact: <sips:alice@192.168.1.20:5060>", None),
        (b"contact: <sip:alice@192.168.1.20:5060>", None),
        (b"CONTACT: <sip:alice@192.168.1.20:5060>", None),
        (b"M: <sip:alice@192.168.1.20:5060>", None),
        (b"Contact:\r\n <sip:alice@192.168.1.20:5060>", None),
        (b"Contact: *", None),
        (
            b"Contact: <sip:a@192.168.1.20:5060>, <sip:b@192.168.1.20:5060>",
            b"Contact: <sip:a@203.0.113.7:61002>, <sip:b@192.168.1.20:5060>",
        ),
    ],
)
def test_contact_going_out(line: Line, written: bytes, leaves: bytes | None) -> None:
    sent = changed(REGISTER, (b"Contact: " + CONTACT, written))
    expected = changed(sent, (VIA, b"203.0.113.7:61002;rport;"), (written, leaves or written))
    assert line.out(sent) == expected


def test_only_the_first_contact(line: Line) -> None:
    two = b"<sip:a@192.168.1.20:5060>\r\nContact: " + CONTACT
    assert line.out(changed(REGISTER, (CONTACT, two))).count(b"192.168.1.20:5060") == 1


def test_a_contact_in_a_quoted_string_takes_the_place_of_the_header(line: Line) -> None:
    quoted = b'From: "Contact: <sip:a@192.168.1.20:5060>" <sip:alice'
    left = line.out(changed(REGISTER, (b"From: <sip:alice", quoted)))
    assert b'"Contact: <sip:a@203.0.113.7:61002>"' in left
    assert b"Contact: " + CONTACT in left


def test_another_contact_port_gets_a_pinhole_of_its_own(line: Line) -> None:
    sent = changed(REGISTER, (CONTACT, b"<sip:alice@192.168.1.20:5070>"))
    assert b"Contact: <sip:alice@203.0.113.7:5070>" in line.out(sent)
    for source, now, arrives in ((STRANGER, 179.0, True), (STRANGER, 181.0, False)):
        line.now = now
        found = passed(line, ip.udp(source, Endpoint(PUBLIC.ip, 5070), INCOMING), Side.OUTSIDE)
        assert (found is not None) is arrives
        assert found is None or found.destination == Endpoint(PHONE.ip, 5070)


def test_a_flow_has_one_pinhole_for_signalling(line: Line) -> None:
    for port in (5070, 5080):
        line.out(changed(REGISTER, (CONTACT, b"<sip:alice@192.168.1.20:%d>" % port)))
    for port, arrives in ((5070, False), (5080, True)):
        packet = ip.udp(STRANGER, Endpoint(PUBLIC.ip, port), INCOMING)
        assert (passed(line, packet, Side.OUTSIDE) is not None) is arrives


def test_such_a_pinhole_is_not_renewed_before_its_end(line: Line) -> None:
    sent = changed(REGISTER, (CONTACT, b"<sip:alice@192.168.1.20:5070>"))
    for now in (0.0, 120.0):
        line.now = now
        line.out(sent)
    line.now = 200.0
    packet = ip.udp(STRANGER, Endpoint(PUBLIC.ip, 5070), INCOMING)
    assert passed(line, packet, Side.OUTSIDE) is None
    line.out(sent)
    assert passed(line, packet, Side.OUTSIDE) is not None


def test_two_phones_with_one_contact_port_get_two_public_ones(line: Line) -> None:
    sent = changed(REGISTER, (CONTACT, b"<sip:alice@192.168.1.20:5070>"))
    assert b"@203.0.113.7:5070>" in line.out(sent)
    assert b"@203.0.113.7:5071>" in line.out(
        sent.replace(b"192.168.1.20", b"192.168.1.21"), phone=SECOND_PHONE
    )
    assert b"@203.0.113.7:5070>" in line.out(sent)  # it stays


def test_another_via_port_opens_the_public_port_for_the_inside_port_of_its_number(line: Line) -> None:
    line.out(changed(REGISTER, (VIA, b"192.168.1.20:5070;rport;")))
    stranger = STRANGER._replace(port=5060)
    found = passed(line, ip.udp(stranger, PUBLIC, INCOMING), Side.OUTSIDE)
    assert found is not None
    assert found.destination == Endpoint(PHONE.ip, PUBLIC.port)
    found = passed(line, ip.udp(REGISTRAR, PUBLIC, INCOMING), Side.OUTSIDE)
    assert found is not None
    assert found.destination == PHONE
    line.now = 181.0
    assert passed(line, ip.udp(stranger, PUBLIC, INCOMING), Side.OUTSIDE) is None


@pytest.mark.parametrize("message", [REGISTER_OK, INVITE_OK, INCOMING])
def test_nothing_else_comes_in_changed(line: Line, message: bytes) -> None:
    """Coming in, Request-URI, Contact, From, To, Call-ID and the body stay as the far side wrote them."""
    line.out(REGISTER)
    assert line.back(message) == message


def test_headers_that_are_never_touched(line: Line) -> None:
    kept = (
        b"Route: <sip:192.168.1.20:5060;lr>\r\nRecord-Route: <sip:192.168.1.20:5060;lr>\r\n"
        b"From: <sip:alice@192.168.1.20:5060>;tag=1\r\nTo: <sip:alice@192.168.1.20:5060>\r\n"
        b"Call-ID: a84b4c76@192.168.1.20\r\nRefer-To: <sip:b@192.168.1.20:5060>\r\n"
    )
    sent = changed(REGISTER, (b"REGISTER sip:lab.test", b"REGISTER sip:192.168.1.20:5060"))
    head, rest = sent.split(b"From: ")
    left = line.out(head + kept + b"CSeq" + rest.partition(b"CSeq")[2])
    assert kept in left
    assert left.startswith(b"REGISTER sip:192.168.1.20:5060 ")


# -- session descriptions ---------------------------------------------------------------------------


def described(line: Line, body: bytes, message: bytes = INVITE) -> list[bytes]:
    """The lines of a body that left; its Content-Length must be right."""
    left = SipMessage.parse(line.out(media.with_body(message, body)))
    assert left.content_length == len(left.body)
    return left.body.split(b"\r\n")


BODY = body_lines(INVITE)
TRANSLATED = [each.replace(b"192.168.1.20", b"203.0.113.7") for each in BODY]


@pytest.mark.parametrize(
    ("message", "handled"),
    [
        (INVITE, True),
        (media.UPDATE, True),
        (INCOMING_OK, True),
        (changed(INCOMING_OK, (b"200 OK", b"180 Ringing")), True),
        (media.PHONE_EARLY, True),
        (changed(INCOMING_OK, (b"200 OK", b"181 Forwarded")), False),
        (changed(INCOMING_OK, (b"200 OK", b"202 Accepted")), False),
        (media.ACK, False),
        (media.PRACK, False),
        (changed(INVITE, (b"INVITE", b"invite")), False),
        (changed(INVITE, (b"INVITE", b"BYE")), False),
    ],
)
def test_messages_whose_description_is_seen(line: Line, message: bytes, handled: bool) -> None:
    line.out(REGISTER)
    left = line.out(message)
    assert body_lines(left) == (TRANSLATED if handled else BODY)
    if handled:
        assert SipMessage.parse(left).content_length == len(SipMessage.parse(left).body)


def line_of(kind: bytes, lines: list[bytes]) -> list[bytes]:
    return [each for each in lines if each.startswith(kind)]


def test_the_first_origin_and_every_connection_of_the_sender(line: Line) -> None:
    body = b"\r\n".join(BODY[:-1]) + (
        b"\r\nc=IN IP4 192.168.1.21\r\nc=IN IP4 192.168.1.20/127\r\no=x 1 1 IN IP4 192.168.1.20\r\n"
    )
    left = described(line, body)
    assert line_of(b"c=", left) == [
        b"c=IN IP4 203.0.113.7", b"c=IN IP4 192.168.1.21", b"c=IN IP4 203.0.113.7/127",
    ]  # fmt: skip
    assert line_of(b"o=", left)[1:] == [b"o=x 1 1 IN IP4 192.168.1.20"]


def test_a_named_origin_passes_and_a_named_connection_is_lost(line: Line) -> None:
    left = described(line, media.NAMED_ORIGIN)
    assert line_of(b"o=", left) == [b"o=- 1 1 IN IP4 pc.example.org"]
    assert line_of(b"c=", left) == [b"c=IN IP4 203.0.113.7"]
    lost = media.with_body(INVITE, media.NAMED_CONNECTION)
    assert passed(line, ip.udp(PHONE, REGISTRAR, lost), Side.INSIDE) is None
    late = changed(lost, (b"INVITE", b"PRACK"))
    assert passed(line, ip.udp(PHONE, REGISTRAR, late), Side.INSIDE) is not None


@pytest.mark.parametrize(
    ("written", "leaves"),
    [
        (b"m=audio 49170 RTP/AVP 0", b"m=audio 49170 RTP/AVP 0"),
        (b"m=audio 49171 RTP/AVP 0", b"m=audio 49170 RTP/AVP 0"),
        (b"m=audio 80 RTP/AVP 0", b"m=audio 1024 RTP/AVP 0"),
        (b"m=audio 0 RTP/AVP 0", b"m=audio 1024 RTP/AVP 0"),
        (b"m=video 0 RTP/AVP 96", b"m=video 1024 RTP/AVP 96"),
        (b"m=video 50001/2 RTP/AVP 96", b"m=video 50000/2 RTP/AVP 96"),
        (b"m=image 49181 udptl t38", b"m=image 49181 udptl t38"),
        (b"m=AUDIO 49171 RTP/AVP 0", b"m=AUDIO 49171 RTP/AVP 0"),
        (b"m=audio x RTP/AVP 0", None),
        (b"m=video x RTP/AVP 96", None),
    ],
)
def test_media_ports(line: Line, written: bytes, leaves: bytes | None) -> None:
    body = changed(SipMessage.parse(INVITE).body, (b"m=audio 49170 RTP/AVP 0", written))
    if leaves is None:
        packet = ip.udp(PHONE, REGISTRAR, media.with_body(INVITE, body))
        assert passed(line, packet, Side.INSIDE) is None
    else:
        assert line_of(b"m=", described(line, body)) == [leaves]


def test_the_first_audio_and_the_first_video_stream_only(line: Line) -> None:
    body = SipMessage.parse(INVITE).body + (
        b"m=audio 50001 RTP/AVP 8\r\nm=video 50003 RTP/AVP 96\r\nm=video 50005 RTP/AVP 96\r\n"
    )
    assert line_of(b"m=", described(line, body)) == [
        b"m=audio 49170 RTP/AVP 0",
        b"m=audio 50001 RTP/AVP 8",
        b"m=video 50002 RTP/AVP 96",
        b"m=video 50005 RTP/AVP 96",
    ]
    assert rtp_in(line, port=50001) is None
    assert rtp_in(line, port=50002) == Endpoint(PHONE.ip, 50003)


def test_a_taken_port_moves_on_by_two(line: Line) -> None:
    described(line, SipMessage.parse(INVITE).body)
    other = INVITE.replace(b"192.168.1.20", b"192.168.1.21")
    assert b"m=audio 49172 " in line.out(other, phone=SECOND_PHONE)
    assert b"m=audio 49170 " in line.out(INVITE)
    assert rtp_in(line, port=49172) == Endpoint(SECOND_PHONE.ip, 49170)


def test_rtcp_is_translated_by_half_and_has_no_pinhole(line: Line) -> None:
    left = described(line, media.RTCP)
    assert line_of(b"a=rtcp", left) == [b"a=rtcp:49171 IN IP4 203.0.113.7"]
    assert rtp_in(line) == state.RTP_PORT
    assert rtp_in(line, port=49171) is None


def test_alternatives_up_to_the_first_other_attribute(line: Line) -> None:
    first = b"a=alt:1 1 : user pass 192.168.1.20 50001\r\n"
    body = changed(SipMessage.parse(INVITE).body, (b"a=sendrecv\r\n", first + b"a=sendrecv\r\n" + first))
    assert line_of(b"a=alt", described(line, body)) == [
        b"a=alt:1 1 : user pass 203.0.113.7 50000",
        b"a=alt:1 1 : user pass 192.168.1.20 50001",
    ]
    assert rtp_in(line, port=50000) == Endpoint(PHONE.ip, 50001)


def test_a_phone_that_wrote_the_public_address_gets_its_media(line: Line) -> None:
    body = SipMessage.parse(INVITE).body.replace(b"192.168.1.20", b"203.0.113.7")
    assert described(line, body) == body.split(b"\r\n")
    assert rtp_in(line) == state.RTP_PORT


def test_another_inside_host_gets_its_media_at_an_address_that_stays(line: Line) -> None:
    body = changed(SipMessage.parse(INVITE).body, (b"c=IN IP4 192.168.1.20", b"c=IN IP4 192.168.1.21"))
    assert line_of(b"c=", described(line, body)) == [b"c=IN IP4 192.168.1.21"]
    assert rtp_in(line) == Endpoint(SECOND_PHONE.ip, 49170)


def test_candidates_stay(line: Line) -> None:
    assert line_of(b"a=cand", described(line, media.ICE)) == [
        b"a=candidate:1 1 UDP 2130706431 192.168.1.20 49170 typ host"
    ]


def test_a_description_that_comes_in_is_not_touched(line: Line) -> None:
    line.out(REGISTER)
    own = media.with_body(INCOMING, FAR_SDP.replace(b"198.51.100.20", b"203.0.113.7"))
    assert line.back(own) == own
    broken = media.with_body(INCOMING, FAR_SDP.replace(b"m=audio 40000", b"m=video x"))
    assert passed(line, ip.udp(REGISTRAR, PUBLIC, broken), Side.OUTSIDE) is None


@pytest.mark.parametrize("name", [b"Content-Length: ", b"X-Content-Length: ", b"l: "])
def test_content_length_says_what_follows_the_blank_line(line: Line, name: bytes) -> None:
    sent = changed(media.MULTIPART_INVITE, (b"Content-Length: ", name))
    left = line.out(sent)
    body = left.partition(b"\r\n\r\n")[2]
    assert b"\r\n" + name + b"%d\r\n" % len(body) in left
    assert len(body) < len(sent.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize("name", [b"content-length: ", b"L: "])
def test_a_length_that_is_not_found_stays(line: Line, name: bytes) -> None:
    sent = changed(INVITE, (b"Content-Length: ", name))
    assert b"\r\n" + name + b"%d\r\n" % len(SipMessage.parse(INVITE).body) in line.out(sent)


def test_a_wrong_length_is_put_right_and_an_empty_body_is_lost(line: Line) -> None:
    line.out(REGISTER)
    length = b"Content-Length: %d" % len(FAR_SDP)
    assert length in line.back(changed(INCOMING, (length, b"Content-Length: 7")))
    empty = changed(REGISTER_OK, (b"Content-Length: 0", b"Content-Length: 7"))
    assert passed(line, ip.udp(REGISTRAR, PUBLIC, empty), Side.OUTSIDE) is None


# -- transports and time ------------------------------------------------------------------------------


def test_tcp_other_ports_ipv6_and_fragments_pass_as_they_are(line: Line) -> None:
    segment = ip.tcp(PHONE, REGISTRAR, transport.TCP_REGISTER, seq=1, ack=1)
    found = passed(line, segment, Side.INSIDE)
    assert found is not None
    assert found.payload == transport.TCP_REGISTER
    found = passed(line, ip.udp(PHONE, REGISTRAR._replace(port=5080), REGISTER), Side.INSIDE)
    assert found is not None
    assert found.payload == REGISTER
    six = ip.udp(Endpoint("2001:db8:1::20", 5060), Endpoint("2001:db8:9::10", 5060), INVITE)
    found = passed(line, six, Side.INSIDE)
    assert found is not None
    assert found.payload == INVITE
    large = transport.padded(INVITE, 1700)
    *early, last = fragmented(ip.udp(PHONE, REGISTRAR, large, dont_fragment=False), identification=3)
    for piece in early:
        line.gateway.handle(piece, Side.INSIDE, 0.0)
    left = b"".join(ip.parse(each.packet).payload for each in line.gateway.handle(last, Side.INSIDE, 0.0))
    assert left == large


def test_anybody_may_send_to_the_media_port_as_long_as_signalling_lives(line: Line) -> None:
    line.out(INVITE)
    line.back(INVITE_OK)
    assert rtp_in(line, RELAY) == rtp_in(line, STRANGER) == state.RTP_PORT
    line.now = 3000.0
    line.out(REGISTER)  # any message of the flow
    for now, arrives in ((6599.0, True), (6601.0, False)):
        line.now = now
        assert (rtp_in(line) is not None) is arrives


@pytest.mark.parametrize("inbound", [False, True])
@pytest.mark.parametrize(
    ("ending", "ends"),
    [
        (state.BYE, True),
        (changed(CHALLENGE, (b"401 Unauthorized", b"400 Bad Request")), True),
        (changed(CHALLENGE, (b"401 Unauthorized", b"486 Busy Here")), False),
        (changed(state.BYE, (b"BYE", b"bye")), False),
    ],
)
def test_bye_and_400_leave_media_five_idle_seconds(
    line: Line, ending: bytes, ends: bool, inbound: bool
) -> None:
    line.out(INVITE)
    line.back(INVITE_OK)
    line.now = 100.0
    (line.back if inbound else line.out)(ending)
    for line.now in (104.0, 108.0, 112.0):  # traffic keeps it
        assert rtp_in(line) == state.RTP_PORT
    line.now = 118.0
    assert (rtp_in(line) is None) is ends


def test_the_end_of_one_call_cuts_the_other_calls_of_the_flow_short(line: Line) -> None:
    line.out(INVITE)
    second = changed(INVITE, (b"b95c5d87@", b"another@"), (b"m=audio 49170", b"m=audio 49180"))
    line.out(second)
    line.out(state.BYE)
    line.now = 6.0
    assert rtp_in(line, port=49170) is None
    assert rtp_in(line, port=49180) is None


def test_the_signalling_flow_stays_open_for_an_hour(line: Line) -> None:
    line.out(REGISTER)
    for now, arrives in ((3599.0, True), (3601.0, False)):
        line.now = now
        assert (passed(line, ip.udp(REGISTRAR, PUBLIC, INCOMING), Side.OUTSIDE) is not None) is arrives


OWN = [b"192.168.1.20", b"203.0.113.7"]
NUMBERS = [b"Content-Length:", b"m=audio ", b"m=video "]
MARKS = [b"Via:", b"Contact:", b"\r\nv:", b"\r\no=", b"\r\nc=IN IP4 ", b"\r\na=alt:", b"\r\na=rtcp:1"]
BEHIND = [b"UDP ", b"sip:", b"@", b"IN IP4 ", b"1 2 3 4 5 ", b":5060", b"49170", b" 5", b";", b"\x00"]
OTHER = [b"198.51.100.10", b"999.1.1.1", b"\r\n", b"\r\n\r\n"]
PIECES = st.lists(st.sampled_from([*MARKS, *BEHIND, *OTHER, *OWN, *NUMBERS]), max_size=40)


@given(pieces=PIECES, outbound=st.booleans())
@settings(max_examples=200, deadline=None)
def test_any_text_gets_through_or_is_lost(pieces: list[bytes], outbound: bool, new_line: LineMaker) -> None:
    """Text that names neither end of this flow, nor a number that the ALG changes, stays as it is."""
    line = new_line(MODEL)
    line.out(REGISTER)
    message = b"INVITE sip:bob@lab.test SIP/2.0\r\n" + b"".join(pieces)
    ends = (PHONE, REGISTRAR) if outbound else (REGISTRAR, PUBLIC)
    found = passed(line, ip.udp(*ends, message), Side.INSIDE if outbound else Side.OUTSIDE)
    if found is not None and not any(each in message for each in OWN + NUMBERS):
        assert found.payload == message
