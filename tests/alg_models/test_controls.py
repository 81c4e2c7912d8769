"""The correct ALG is symmetric: when a message comes back through it, the phone gets its own bytes again.

Unless a test says otherwise, the server echoes the addresses that it saw, where SIP requires it; the
phone must then read its own addresses.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siplab.alg_models import catalogue
from siplab.alg_models.controls import NONE
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

if TYPE_CHECKING:
    from tests.alg_models.conftest import Line, LineMaker

PRIVATE, PUBLIC = b"192.168.1.20", b"203.0.113.7"
BRANCH = b";branch=z9hG4bK74"


def message(start: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    lines = [start, *headers, b"Content-Length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def sdp(text: bytes) -> bytes:
    return text.replace(b"\n", b"\r\n")


def echo(sent: bytes) -> bytes:
    """A 200 that repeats every header and the body of a request."""
    start, _, rest = sent.partition(b"\r\n")
    assert not start.startswith(b"SIP/")
    return b"SIP/2.0 200 OK\r\n" + rest


def mirrored(line: Line, request: bytes) -> bytes:
    """Send a request; its echo must come back as it was sent. Returns what the server saw."""
    seen = line.out(request)
    assert line.back(echo(seen)) == echo(request)
    body = SipMessage.parse(seen)
    assert body.content_length == len(body.body)
    return seen


# -- one header at a time --------------------------------------------------------------------------

HEADERS = {
    "Via": b"Via: SIP/2.0/UDP 192.168.1.20:5060;branch=z9hG4bK74",
    "Via without port": b"Via: SIP/2.0/UDP 192.168.1.20;rport;branch=z9hG4bK74",
    "Via, compact": b"v: SIP/2.0/UDP 192.168.1.20:5060;branch=z9hG4bK74",
    "Via, folded": b"Via: SIP/2.0/UDP\r\n  192.168.1.20:5060\r\n\t;branch=z9hG4bK74",
    "Via, spread": b"VIA  :   SIP / 2.0 / UDP   192.168.1.20:5060 ;branch=z9hG4bK74",
    "Via, maddr": b"Via: SIP/2.0/UDP 192.168.1.20:5060;maddr=192.168.1.20;branch=z9hG4bK74",
    "Via, list": b"Via: SIP/2.0/UDP 192.168.1.20:5060;branch=a, SIP/2.0/UDP 192.168.1.21:5062;branch=b",
    "Contact": b"Contact: <sip:alice@192.168.1.20:5060>",
    "Contact without port": b"Contact: <sip:alice@192.168.1.20>",
    "Contact without brackets": b"Contact: sip:192.168.1.20;expires=60",
    "Contact, compact": b"m:<sip:alice@192.168.1.20;transport=udp>;q=0.5",
    "Contact, folded": b"Contact:\r\n <sip:alice@192.168.1.20>\r\n ;expires=60",
    "Contact, list": b'Contact: "A, B" <sip:a@192.168.1.20>, <sip:b@192.168.1.21:5064>, <sip:c@192.0.2.9>',
    "Contact, sips": b"Contact: <SIPS:alice@192.168.1.20:5060>",
    "Contact, display name": b'Contact: "sip:x@192.168.1.20 \\" 192.168.1.20" <sip:alice@192.168.1.20:5060>',
    "Record-Route": b"Record-Route: <sip:192.168.1.20:5060;lr>, <sip:192.0.2.9;lr>",
    "Route": b"Route: <sip:192.168.1.20;lr>",
    "Path": b"Path: <sip:192.168.1.20;lr>",
    "Refer-To": b"r: <sip:carol@192.168.1.20?Replaces=1%40x>",
    "From": b"From: <sip:alice@192.168.1.20>;tag=1",
    "From with port": b"f: Alice <sip:alice@192.168.1.20:5060>;tag=1",
    "To": b"To: sip:alice@192.168.1.20;tag=2",
}


@pytest.mark.parametrize("preserve", [False, True])
@pytest.mark.parametrize("name", HEADERS)
def test_a_header_comes_back_as_it_was_sent(new_line: LineMaker, name: str, preserve: bool) -> None:
    line = new_line(preserve=preserve)
    seen = mirrored(line, message(b"OPTIONS sip:lab.test SIP/2.0", HEADERS[name], b"Call-ID: 1"))
    unquoted = re.sub(rb'"(?:[^"\\]|\\.)*"', b"", seen)
    assert b"192.168.1." not in unquoted
    assert PUBLIC in unquoted


UNTOUCHED = {
    "display name": b'From: "alice sip:a@192.168.1.20" <sip:alice@lab.test>;tag=1',
    "name": b"Via: SIP/2.0/UDP phone.local:5060;branch=z9hG4bK74",
    "IPv6": b"Contact: <sip:alice@[2001:db8:1::20]:5060>",
    "IPv6 in From": b"From: <sip:alice@[2001:db8:1::20]>;tag=1",
    "IPv6 in Via": b"Via: SIP/2.0/UDP [2001:db8:1::20]:5060;branch=z9hG4bK74",
    "another's address": b"Contact: <sip:alice@192.0.2.9:5060>",
    "impossible port": b"Contact: <sip:alice@192.168.1.20:65536>",
    "Call-ID": b"Call-ID: a84b4c76@192.168.1.20",
    "Call-ID, compact": b"i: a84b4c76@192.168.1.20",
    "digest": b'Authorization: Digest username="a", uri="sip:192.168.1.20", response="0"',
    "proxy digest": b'Proxy-Authorization: Digest realm="192.168.1.20", uri="sip:192.168.1.20:5060"',
    "Warning": b'Warning: 399 192.168.1.20 "sip:192.168.1.20"',
    "User-Agent": b"User-Agent: Phone/1.0 (192.168.1.20; <sip:192.168.1.20:5060>)",
    "no header": b"192.168.1.20 sip:192.168.1.20:5060",
}


@pytest.mark.parametrize("name", UNTOUCHED)
def test_left_alone(new_line: LineMaker, name: str) -> None:
    text = message(b"OPTIONS sip:lab.test SIP/2.0", UNTOUCHED[name])
    assert mirrored(new_line(), text) == text


def test_malformed_and_foreign_bytes_are_left_alone(new_line: LineMaker) -> None:
    line = new_line()
    for text in (b"\r\n\r\n", b"\x80media", b"GET http://192.168.1.20/ HTTP/1.1\r\n\r\n", b"", b"SIP/2.0"):
        assert line.out(text) == text
        assert line.back(text) == text


# -- whole exchanges -------------------------------------------------------------------------------


def server_via(seen: bytes, source: Endpoint, top: bytes = b"") -> bytes:
    """A request's headers as its server repeats them: ``received`` and ``rport`` filled in (RFC 3581 4)."""
    filled = seen.replace(b";rport", b";rport=%d;received=%s" % (source.port, source.ip.encode()), 1)
    return b"\r\n".join(
        field
        for field in filled.split(b"\r\n")
        if field.split(b":")[0] in (b"Via", b"From", b"To", b"Call-ID")
    )


@pytest.mark.parametrize("preserve", [False, True])
@pytest.mark.parametrize("port", [b":5060", b""])
@pytest.mark.parametrize("phone", [Endpoint("192.168.1.20", 5060), Endpoint("192.168.1.20", 40000)])
def test_register_and_its_answer_are_as_without_a_nat(
    new_line: LineMaker, phone: Endpoint, port: bytes, preserve: bool
) -> None:
    """Also ``received`` and ``rport`` (RFC 3581): they have the endpoint from which the phone sent."""
    line = new_line(phone=phone, preserve=preserve)
    request = message(
        b"REGISTER sip:lab.test SIP/2.0",
        b"Via: SIP/2.0/UDP 192.168.1.20" + port + b";rport;branch=z9hG4bK74",
        b"From: <sip:alice@lab.test>;tag=1",
        b"To: <sip:alice@lab.test>",
        b"Call-ID: a84b4c76@192.168.1.20",
        b"CSeq: 1 REGISTER",
        b"Contact: <sip:alice@192.168.1.20" + port + b">",
    )

    def answer(seen: bytes, source: Endpoint) -> bytes:
        contact = seen.partition(b"Contact: ")[2].partition(b"\r\n")[0]
        return message(
            b"SIP/2.0 200 OK",
            server_via(seen, source),
            b"CSeq: 1 REGISTER",
            b"Contact: " + contact + b";expires=60",
        )

    seen = line.out(request)
    assert line.back(answer(seen, line.public)) == answer(request, phone)


def test_received_is_translated_beside_a_host_name(new_line: LineMaker) -> None:
    line = new_line()
    via = b"Via: SIP/2.0/UDP phone.local;received=%s;rport=%d;branch=z9hG4bK74"
    line.out(message(b"OPTIONS sip:lab.test SIP/2.0", b"Via: SIP/2.0/UDP phone.local;rport;branch=z9hG4bK74"))
    answer = message(b"SIP/2.0 200 OK", via % (PUBLIC, 61002))
    assert line.back(answer) == message(b"SIP/2.0 200 OK", via % (PRIVATE, 5060))


def test_a_call_with_a_phone_on_the_same_inside(new_line: LineMaker) -> None:
    """An INVITE of a neighbour, by way of the server: both ways, each Via value keeps its own source."""
    line, neighbour = new_line(), Endpoint("192.168.1.21", 5064)
    line.out(b"\r\n\r\n")
    seen = line.out(
        message(b"INVITE sip:alice@lab.test SIP/2.0", b"Via: SIP/2.0/UDP 192.168.1.21:5064;rport;branch=b"),
        neighbour,
    )
    assert b"Via: SIP/2.0/UDP 203.0.113.7:61004;rport" in seen
    via = b"Via: SIP/2.0/UDP 198.51.100.10;branch=s\r\nVia: SIP/2.0/UDP %b:%d;received=%b;rport=%d;branch=b"
    invite = message(
        b"INVITE sip:alice@203.0.113.7:61002 SIP/2.0", via % (PUBLIC, 61004, PUBLIC, 61004), b"CSeq: 1 INVITE"
    )
    came = line.back(invite)
    inside = b"192.168.1.21"
    assert came == message(
        b"INVITE sip:alice@192.168.1.20:5060 SIP/2.0", via % (inside, 5064, inside, 5064), b"CSeq: 1 INVITE"
    )
    ringing = came.replace(b"INVITE sip:alice@192.168.1.20:5060 SIP/2.0", b"SIP/2.0 180 Ringing")
    assert line.out(ringing) == message(
        b"SIP/2.0 180 Ringing", via % (PUBLIC, 61004, PUBLIC, 61004), b"CSeq: 1 INVITE"
    )


DIALOG = (b"Call-ID: c1@192.168.1.20", b"Max-Forwards: 70")
OFFER = sdp(b"v=0\no=a 1 1 IN IP4 192.168.1.20\ns=-\nc=IN IP4 192.168.1.20\nt=0 0\nm=audio 49170 RTP/AVP 0\n")


@pytest.mark.parametrize("port", [b":5060", b""])
def test_a_call_that_the_phone_makes(new_line: LineMaker, port: bytes) -> None:
    line = new_line()
    here = b"192.168.1.20" + port
    via, route = b"Via: SIP/2.0/UDP " + here + b";branch=b", b"Route: <sip:198.51.100.10;lr>"
    caller, callee = b"From: <sip:alice@192.168.1.20>;tag=1", b"To: <sip:bob@lab.test>"
    contact = b"Contact: <sip:alice@" + here + b">"
    seen = line.out(
        message(b"INVITE sip:bob@lab.test SIP/2.0", via, caller, callee, contact, *DIALOG, body=OFFER)
    )
    fields = {field.name: field.value for field in SipMessage.parse(seen).fields}
    assert fields[b"contact"] == b"<sip:alice@203.0.113.7:61002>"
    assert b"c=IN IP4 203.0.113.7\r\n" in seen
    assert b"o=a 1 1 IN IP4 203.0.113.7\r\n" in seen
    for status in (b"180 Ringing", b"200 OK"):
        answer = (b"To: <sip:bob@lab.test>;tag=2", b"Record-Route: <sip:198.51.100.10;lr>", *DIALOG)
        back = line.back(
            message(b"SIP/2.0 " + status, b"Via: " + fields[b"via"], b"From: " + fields[b"from"], *answer)
        )
        assert back == message(b"SIP/2.0 " + status, via, caller, *answer)
    ack = message(
        b"ACK sip:bob@192.0.2.9 SIP/2.0", via, caller, b"To: <sip:bob@lab.test>;tag=2", route, *DIALOG
    )
    assert PRIVATE not in line.out(ack).replace(DIALOG[0], b"")
    # Bob hangs up: his requests go to the Contact that he got, with From and To exchanged.
    remote = (b"Via: SIP/2.0/UDP 198.51.100.10;branch=s", b"From: <sip:bob@lab.test>;tag=2", *DIALOG)
    uri = fields[b"contact"].strip(b"<>")
    bye = line.back(message(b"BYE " + uri + b" SIP/2.0", b"To: " + fields[b"from"], *remote))
    expected = message(b"BYE sip:alice@" + here + b" SIP/2.0", b"To: <sip:alice@192.168.1.20>;tag=1", *remote)
    assert bye == expected
    answer_to_bye = line.out(bye.replace(b"BYE sip:alice@" + here + b" SIP/2.0", b"SIP/2.0 200 OK"))
    assert answer_to_bye == message(b"SIP/2.0 200 OK", b"To: " + fields[b"from"], *remote)


@pytest.mark.parametrize("port", [b":5060", b""])
def test_a_call_that_the_phone_gets(new_line: LineMaker, port: bytes) -> None:
    line = new_line()
    here = b"192.168.1.20" + port
    seen = line.out(
        message(b"REGISTER sip:lab.test SIP/2.0", b"Contact: <sip:alice@" + here + b">", b"Call-ID: r")
    )
    uri = seen.partition(b"<")[2].partition(b">")[0]
    headers = (
        b"Via: SIP/2.0/UDP 198.51.100.10;branch=s",
        b"Record-Route: <sip:198.51.100.10;lr>",
        b"From: <sip:bob@lab.test>;tag=2",
        *DIALOG,
        b"CSeq: 1 INVITE",
    )
    came = line.back(message(b"INVITE " + uri + b" SIP/2.0", b"To: <" + uri + b">", *headers))
    # To is a name: it may get the port that it has on the server's side.
    start, to = came.split(b"\r\n")[:2]
    assert start == b"INVITE sip:alice@" + here + b" SIP/2.0"
    assert to == b"To: <sip:alice@192.168.1.20:5060>"
    for status in (b"180 Ringing", b"200 OK"):
        contact = b"Contact: <sip:alice@%b>"
        answer = line.out(message(b"SIP/2.0 " + status, to + b";tag=9", *headers, contact % here, body=OFFER))
        body = SipMessage.parse(answer).body
        assert answer == message(
            b"SIP/2.0 " + status,
            b"To: <" + uri + b">;tag=9",
            *headers,
            contact % b"203.0.113.7:61002",
            body=body,
        )
        assert body == OFFER.replace(PRIVATE, PUBLIC).replace(b"49170", b"61004")
    ack = message(b"ACK " + uri + b" SIP/2.0", *headers)
    assert line.back(ack) == message(b"ACK sip:alice@" + here + b" SIP/2.0", *headers)


def test_both_parties_may_be_inside(new_line: LineMaker) -> None:
    """From and To without ports are told apart by their users."""
    request = message(
        b"INVITE sip:bob@lab.test SIP/2.0",
        b"From: <sip:alice@192.168.1.20>;tag=1",
        b"To: <sip:bob@192.168.1.21>",
        b"Call-ID: 1",
    )
    seen = mirrored(new_line(), request)
    assert b"<sip:alice@203.0.113.7>" in seen
    assert b"<sip:bob@203.0.113.7>" in seen


# -- session descriptions --------------------------------------------------------------------------

BASE = b"v=0\no=a 1 1 IN IP4 192.168.1.20\ns=-\n"
SESSIONS = {
    "session c=": BASE + b"c=IN IP4 192.168.1.20\nt=0 0\nm=audio 49170 RTP/AVP 0\n",
    "two media under one c=": BASE
    + b"c=IN IP4 192.168.1.20\nt=0 0\nm=audio 49170 RTP/AVP 0\nm=video 49180 RTP/AVP 34\n",
    "media c=": BASE + b"t=0 0\nm=audio 49170 RTP/AVP 0\nc=IN IP4 192.168.1.20\n",
    "media c= of another host": BASE
    + b"c=IN IP4 192.168.1.20\nt=0 0\nm=audio 49170 RTP/AVP 0\n"
    + b"m=video 4000 RTP/AVP 34\nc=IN IP4 192.168.1.21\n",
    "odd port": BASE + b"c=IN IP4 192.168.1.20\nt=0 0\nm=audio 49171 RTP/AVP 0\n",
    "rtcp": BASE + b"c=IN IP4 192.168.1.20\nt=0 0\nm=audio 49170 RTP/AVP 0\na=rtcp:49171\n",
    "rtcp elsewhere": BASE
    + b"c=IN IP4 192.168.1.20\nt=0 0\nm=audio 49170 RTP/AVP 0\na=rtcp:53020 IN IP4 192.168.1.20\n",
    "rtcp beside it": BASE + b"c=IN IP4 192.168.1.20\nt=0 0\nm=audio 49170 RTP/AVP 0\na=rtcp:49170\n",
    "candidates": BASE
    + b"c=IN IP4 192.168.1.20\nt=0 0\nm=audio 49170 RTP/AVP 0\n"
    + b"a=candidate:1 1 UDP 2130706431 192.168.1.20 49170 typ host\n"
    + b"a=candidate:1 2 udp 2130706430 192.168.1.20 49171 typ host\n",
    "refused": BASE + b"c=IN IP4 192.168.1.20\nt=0 0\nm=audio 0 RTP/AVP 0\n",
    "one refused": BASE
    + b"c=IN IP4 192.168.1.20\nt=0 0\nm=audio 49170 RTP/AVP 0\nm=video 0 RTP/AVP 34\nc=IN IP4 192.168.1.20\n",
}


@pytest.mark.parametrize("preserve", [False, True])
@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_description_comes_back_as_it_was_sent(
    new_line: LineMaker, name: str, preserve: bool
) -> None:
    body = sdp(SESSIONS[name])
    request = message(b"INVITE sip:bob@lab.test SIP/2.0", b"Call-ID: 1", b"CSeq: 1 INVITE", body=body)
    seen = mirrored(new_line(preserve=preserve), request)
    assert b"192.168.1." not in seen
    assert body.count(b"\n") == SipMessage.parse(seen).body.count(b"\n")


def seen_of(line: Line, body: bytes) -> bytes:
    """A body as the server sees it, in lines that end with LF."""
    request = message(b"INVITE sip:bob@lab.test SIP/2.0", b"Call-ID: 1", b"CSeq: 1 INVITE", body=sdp(body))
    return SipMessage.parse(line.out(request)).body.replace(b"\r\n", b"\n")


def test_ports_and_their_neighbours(new_line: LineMaker) -> None:
    assert seen_of(new_line(), SESSIONS["candidates"]).splitlines()[5:] == [
        b"m=audio 61004 RTP/AVP 0",
        b"a=candidate:1 1 UDP 2130706431 203.0.113.7 61004 typ host",
        b"a=candidate:1 2 udp 2130706430 203.0.113.7 61005 typ host",
    ]
    assert b"m=audio 61004 RTP/AVP 0\na=rtcp:61005\n" in seen_of(new_line(), SESSIONS["rtcp"])
    assert b"m=audio 61004 RTP/AVP 0\na=rtcp:61004\n" in seen_of(new_line(), SESSIONS["rtcp beside it"])
    elsewhere = seen_of(new_line(), SESSIONS["rtcp elsewhere"])
    assert b"m=audio 61004 RTP/AVP 0\na=rtcp:61006 IN IP4 203.0.113.7\n" in elsewhere
    assert b"m=audio 0 RTP/AVP 0" in seen_of(new_line(), SESSIONS["refused"])


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"v=0\no=a 1 1 IN IP6 ::1\nc=IN IP4 0.0.0.0\nm=audio 49170 RTP/AVP 0\n", id="hold"),
        pytest.param(
            b"v=0\no=a 1 1 IN IP6 2001:db8:1::20\nc=IN IP6 2001:db8:1::20\nm=audio 49170 RTP/AVP 0\n",
            id="IPv6",
        ),
        pytest.param(
            b"v=0\no=a 1 1 IN IP4 192.0.2.9\nc=IN IP4 192.0.2.9\nm=audio 49170 RTP/AVP 0\n", id="foreign"
        ),
        pytest.param(b"v=0\nc=IN IP4 phone.local\nm=audio 49170 RTP/AVP 0\n", id="name"),
        pytest.param(b"v=0\nc=IN IP4\nm=audio\nm=\nm=audio x RTP/AVP 0\na=candidate:\n", id="malformed"),
        pytest.param(b"192.168.1.20 is my address\n", id="text"),
    ],
)
def test_bodies_left_alone(new_line: LineMaker, body: bytes) -> None:
    assert seen_of(new_line(), body) == body


def test_a_tcp_candidate_and_the_address_of_another_stay(new_line: LineMaker) -> None:
    stay = (
        b"a=candidate:2 1 TCP 1 192.168.1.20 9 typ host tcptype active\n"
        b"a=candidate:3 1 UDP 1 192.0.2.9 5000 typ relay raddr 192.0.2.9 rport 1\n"
    )
    assert seen_of(new_line(), SESSIONS["session c="] + stay).endswith(stay)


@pytest.mark.parametrize("order", [False, True])
def test_a_multipart_body(new_line: LineMaker, order: bool) -> None:
    part = b"--x\r\nContent-Type: application/sdp\r\n\r\n" + sdp(SESSIONS["two media under one c="])
    other = b"--x\r\nContent-Type: text/plain\r\n\r\n192.168.1.20 is my address\r\n"
    body = (other + part if order else part + other) + b"--x--\r\n"
    request = message(
        b"INVITE sip:bob@lab.test SIP/2.0",
        b"Content-Type: multipart/mixed;boundary=x",
        b"Call-ID: 1",
        body=body,
    )
    seen = mirrored(new_line(), request)
    assert b"c=IN IP4 203.0.113.7\r\n" in seen
    assert b"m=video 61006 " in seen
    assert other in seen


def test_a_neighbours_offer_names_the_neighbour(new_line: LineMaker) -> None:
    """A call between two phones behind one router: each gets the other's inside address."""
    line, neighbour = new_line(), Endpoint("192.168.1.21", 5060)
    line.out(b"\r\n\r\n")
    body = sdp(SESSIONS["rtcp"]).replace(PRIVATE, b"192.168.1.21")
    seen = line.out(message(b"INVITE sip:alice@lab.test SIP/2.0", b"Call-ID: 1", body=body), neighbour)
    assert PUBLIC in seen
    assert SipMessage.parse(line.back(seen)).body == body


def test_public_media_ports_that_nobody_holds_are_left_alone(new_line: LineMaker) -> None:
    line = new_line()
    line.out(b"\r\n\r\n")
    body = sdp(SESSIONS["session c="]).replace(PRIVATE, PUBLIC)
    text = message(b"INVITE sip:alice@lab.test SIP/2.0", b"Call-ID: 1", body=body)
    assert line.back(text) == text


# -- any mix ---------------------------------------------------------------------------------------


@given(
    headers=st.lists(st.sampled_from(sorted(HEADERS.values()) + sorted(UNTOUCHED.values())), max_size=6),
    body=st.sampled_from([b"", *map(sdp, SESSIONS.values())]),
    preserve=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_any_mix_of_headers_comes_back(
    new_line: LineMaker, headers: list[bytes], body: bytes, preserve: bool
) -> None:
    """A phone writes its address with or without its port, but in one way per kind of place."""
    portless = [each for each in headers if re.search(rb"192\.168\.1\.20(?!\s?:|\d)", each)]
    ported = [each for each in headers if re.search(rb"192\.168\.1\.20\s?:", each)]
    kept = [each for each in headers if not (portless and each in ported)]
    line = new_line(preserve=preserve)
    request = message(b"INVITE sip:bob@lab.test SIP/2.0", b"Call-ID: 1", *kept, body=body)
    mirrored(line, request)
    mirrored(line, request)


def test_none_changes_nothing(new_line: LineMaker) -> None:
    line = new_line(NONE)
    for header in (*HEADERS.values(), *UNTOUCHED.values()):
        text = message(b"INVITE sip:a@192.168.1.20 SIP/2.0", header, body=OFFER)
        assert line.out(text) == text
        assert line.back(text) == text


# -- where the body ends -----------------------------------------------------------------------------

DESCRIPTION = b"v=0\r\no=- 1 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %d RTP/AVP 0\r\n"
BEHIND = [b"\r\n", b"junk", DESCRIPTION % (PRIVATE, PRIVATE, 5000), b"a=rtcp:5001 IN IP4 192.168.1.20\r\n"]


@pytest.mark.parametrize("behind", BEHIND)
def test_bytes_behind_the_body_are_no_body(new_line: LineMaker, behind: bytes) -> None:
    def invite(address: bytes, port: int, via: bytes) -> bytes:
        body = DESCRIPTION % (address, address, port)
        return message(
            b"INVITE sip:bob@lab.test SIP/2.0", b"Via: SIP/2.0/UDP " + via + BRANCH, b"Call-ID: 1", body=body
        )

    sent = invite(PRIVATE, 16000, b"192.168.1.20:5060")
    line = new_line()
    seen = line.out(sent + behind)
    assert seen == invite(PUBLIC, 61004, b"203.0.113.7:61002") + behind
    assert line.back(echo(seen)) == echo(sent) + behind


def test_what_a_fault_puts_into_a_body_is_body(new_line: LineMaker) -> None:
    """The fault's step runs before the step that finds the end of the body."""
    line = new_line(catalogue.load(plugins=False).get("sdp-line-injected"))
    body = DESCRIPTION % (PRIVATE, PRIVATE, 16000)
    sent = message(b"INVITE sip:bob@lab.test SIP/2.0", b"Call-ID: 1", body=body)
    for behind in (b"", b"junk"):
        seen = SipMessage.parse(line.out(sent + behind))
        assert b"i=(o=IN IP4 192.168.1.20)\r\n" in seen.body
        assert seen.body.endswith(b"m=audio 61004 RTP/AVP 0\r\n" + behind)
        assert seen.content_length == len(seen.body) - len(behind)


def test_bytes_behind_no_body_are_no_body(new_line: LineMaker) -> None:
    behind = DESCRIPTION % (PRIVATE, PRIVATE, 16000)
    bye = message(b"BYE sip:bob@lab.test SIP/2.0", b"Call-ID: 1")
    assert new_line().out(bye + behind) == bye + behind


def test_without_a_length_the_body_is_all_of_the_datagram(new_line: LineMaker) -> None:
    body = DESCRIPTION % (PRIVATE, PRIVATE, 16000)
    invite = b"INVITE sip:bob@lab.test SIP/2.0\r\nCall-ID: 1\r\n\r\n"
    assert new_line().out(invite + body) == invite + DESCRIPTION % (PUBLIC, PUBLIC, 61004)
