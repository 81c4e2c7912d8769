"""The Linux kernel's ALG, rule by rule: what it writes, drops and lets in, and for how long."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from siplab.alg_models.exact.linux import MODEL
from siplab.alg_models.samples import PHONE, PUBLIC, REGISTRAR
from siplab.alg_models.samples.basic import INVITE, REGISTER, REGISTER_OK, SDP
from siplab.alg_models.samples.media import with_body
from siplab.lab.gateway.gateway import Gateway, Side
from siplab.lab.gateway.nat_config import NatConfig
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

if TYPE_CHECKING:
    from tests.alg_models.conftest import Line, LineMaker

OLD = MODEL.with_parameters({"kernel": "2.6.36"})
RTP = b"\x80\x00" + bytes(20)
ANOTHER_PORT = REGISTRAR._replace(port=5070)
STRANGER = Endpoint("198.51.100.66", 5060)
PUBLIC_RTP = Endpoint(PUBLIC.ip, 49170)
OWN, NAMED = b"192.168.1.20:5060", b"203.0.113.7:61002"


@pytest.fixture
def line(new_line: LineMaker) -> Line:
    return new_line(MODEL)


def changed(message: bytes, *pairs: tuple[bytes, bytes]) -> bytes:
    """A message with the first occurrence of each text replaced. Content-Length is not corrected."""
    for old, new in pairs:
        assert old in message, old
        message = message.replace(old, new, 1)
    return message


def passed(line: Line, packet: bytes, side: Side) -> ip.Packet | None:
    """The packet that leaves on the other side, or ``None``."""
    (emission,) = line.gateway.handle(packet, side, line.now)
    assert not emission.error
    return None if emission.side is None else ip.parse(emission.packet)


def sent(line: Line, message: bytes) -> bytes | None:
    found = passed(line, ip.udp(line.phone, REGISTRAR, message), Side.INSIDE)
    return found.payload if found else None


def arrived(
    line: Line, message: bytes, source: Endpoint = REGISTRAR, target: Endpoint = PUBLIC
) -> Endpoint | None:
    """Where a datagram from outside is delivered."""
    found = passed(line, ip.udp(source, target, message), Side.OUTSIDE)
    return found.destination if found else None


def value(message: bytes, name: bytes) -> bytes:
    return SipMessage.parse(message).value(name)


def options(*fields: bytes, uri: bytes = b"sip:lab.test") -> bytes:
    return b"OPTIONS %b SIP/2.0\r\n%b\r\n\r\n" % (uri, b"\r\n".join([b"CSeq: 1 OPTIONS", *fields]))


# -- what is found, and what is written ---------------------------------------------------------------

# A line as the phone sends it, and as it leaves.
OUTBOUND = {
    "address and port": (b"Contact: <sip:a@192.168.1.20:5060>", b"Contact: <sip:a@203.0.113.7:61002>"),
    "no port is 5060": (b"Contact: <sip:a@192.168.1.20>", b"Contact: <sip:a@203.0.113.7:61002>"),
    "another port": (b"Contact: <sip:a@192.168.1.20:5062>", b"Contact: <sip:a@192.168.1.20:5062>"),
    "another address": (b"Contact: <sip:a@192.168.1.21:5060>", b"Contact: <sip:a@192.168.1.21:5060>"),
    "longer address": (b"Contact: <sip:a@192.168.1.200:5060>", b"Contact: <sip:a@192.168.1.200:5060>"),
    "leading zeros": (b"Contact: <sip:a@192.168.001.020:5060>", b"Contact: <sip:a@203.0.113.7:61002>"),
    "a letter behind": (b"Contact: <sip:a@192.168.1.20a>", b"Contact: <sip:a@192.168.1.20a>"),
    "no user": (b"Contact: <sip:192.168.1.20>", b"Contact: <sip:203.0.113.7:61002>"),
    "@ in the display name": (
        b'Contact: "a@b" <sip:192.168.1.20>',
        b'Contact: "a@b" <sip:203.0.113.7:61002>',
    ),
    "@ behind the address": (b"Contact: <sip:192.168.1.20>;x=a@b", b"Contact: <sip:192.168.1.20>;x=a@b"),
    "capitals": (b"CONTACT: <SIP:a@192.168.1.20>", b"CONTACT: <SIP:a@203.0.113.7:61002>"),
    "compact": (b"m: <sip:a@192.168.1.20>", b"m: <sip:a@203.0.113.7:61002>"),
    "compact, with space": (b"m : <sip:a@192.168.1.20>", b"m : <sip:a@203.0.113.7:61002>"),
    "sips": (b"Contact: <sips:a@192.168.1.20>", b"Contact: <sips:a@192.168.1.20>"),
    "tab and fold": (b"Contact\t:\r\n\t<sip:a@192.168.1.20>", b"Contact\t:\r\n\t<sip:a@203.0.113.7:61002>"),
    "marker right behind a fold": (
        b"Contact: x\r\n sip:a@192.168.1.20;q=1",
        b"Contact: x\r\n sip:a@192.168.1.20;q=1",
    ),
    "several values": (
        b"Contact: <sip:a@192.168.1.20>, <sip:b@pbx.lan>, <sip:c@192.168.1.20>",
        b"Contact: <sip:a@203.0.113.7:61002>, <sip:b@pbx.lan>, <sip:c@203.0.113.7:61002>",
    ),
    "several headers": (
        b"Contact: *\r\nm: <sip:a@192.168.1.20>",
        b"Contact: *\r\nm: <sip:a@203.0.113.7:61002>",
    ),
    "From": (b"From: <sip:a@192.168.1.20>;tag=1", b"From: <sip:a@203.0.113.7:61002>;tag=1"),
    "To": (b"t: sip:a@192.168.1.20", b"t: sip:a@203.0.113.7:61002"),
    "the second From": (
        b"From: <sip:a@192.168.1.20>\r\nFrom: <sip:b@192.168.1.20>",
        b"From: <sip:a@203.0.113.7:61002>\r\nFrom: <sip:b@192.168.1.20>",
    ),
    "Via": (b"Via: SIP/2.0/UDP 192.168.1.20;branch=z", b"Via: SIP/2.0/UDP 203.0.113.7:61002;branch=z"),
    "Via, two spaces": (b"Via: SIP/2.0/UDP  192.168.1.20", b"Via: SIP/2.0/UDP  192.168.1.20"),
    "Via of TCP": (b"Via: SIP/2.0/TCP 192.168.1.20;x", b"Via: SIP/2.0/TCP 192.168.1.20;x"),
    "maddr": (
        b"v: SIP/2.0/UDP 192.168.1.20;maddr=192.168.1.20;rport",
        b"v: SIP/2.0/UDP 203.0.113.7:61002;maddr=203.0.113.7;rport",
    ),
    "not the second Via": (
        b"Via: SIP/2.0/UDP 198.51.100.9\r\nVia: SIP/2.0/UDP 192.168.1.20",
        b"Via: SIP/2.0/UDP 198.51.100.9\r\nVia: SIP/2.0/UDP 192.168.1.20",
    ),
    "a name that begins so ends the search": (
        b"Contacts: x\r\nContact: <sip:a@192.168.1.20>",
        b"Contacts: x\r\nContact: <sip:a@192.168.1.20>",
    ),
    "an empty header ends the search": (
        b"Contact:\r\nContact: <sip:a@192.168.1.20>",
        b"Contact:\r\nContact: <sip:a@192.168.1.20>",
    ),
    "lines that end in LF": (
        b"X: y\nContact: <sip:a@192.168.1.20>",
        b"X: y\nContact: <sip:a@203.0.113.7:61002>",
    ),
    "lines that end in CR": (
        b"X: y\rContact: <sip:a@192.168.1.20>",
        b"X: y\rContact: <sip:a@203.0.113.7:61002>",
    ),
    "behind an empty line": (b"X: y\n\nContact: <sip:192.168.1.20>", b"X: y\n\nContact: <sip:192.168.1.20>"),
    "never Route, Call-ID, identity": (
        b"Route: <sip:192.168.1.20>\r\nCall-ID: 1@192.168.1.20\r\nP-Asserted-Identity: <sip:192.168.1.20>",
        b"Route: <sip:192.168.1.20>\r\nCall-ID: 1@192.168.1.20\r\nP-Asserted-Identity: <sip:192.168.1.20>",
    ),
}


@pytest.mark.parametrize("name", OUTBOUND)
def test_outbound_headers(line: Line, name: str) -> None:
    before, after = OUTBOUND[name]
    assert sent(line, options(before)) == options(after)


def test_the_server_s_own_address_stays_going_out(line: Line) -> None:
    message = options(b"To: <sip:198.51.100.10>", uri=b"sip:198.51.100.10:5060")
    assert sent(line, message) == message


def test_inbound_headers(registered: Line) -> None:
    message = options(
        b"Via: SIP/2.0/UDP 198.51.100.10;rport",
        b"From: <sip:b@198.51.100.10>",
        b"To: <sip:a@203.0.113.7:61002>",
        b"Contact: <sip:a@203.0.113.7:61002>, <sip:a@203.0.113.7>",
        uri=b"sip:a@203.0.113.7:61002",
    )
    # The flow's address with its port, and without a port: only the first is translated back.
    assert registered.back(message) == message.replace(NAMED, OWN)


def test_inbound_via_parameters(registered: Line) -> None:
    answer = registered.back(REGISTER_OK)
    assert value(answer, b"via") == (
        b"SIP/2.0/UDP 192.168.1.20:5060;rport=5060;branch=z9hG4bK74;received=192.168.1.20"
    )


@pytest.mark.parametrize("port", [b":80", b":1023", b":65536", b":123456", b":"])
def test_ports_that_are_none_leave_a_header_unread(line: Line, port: bytes) -> None:
    """A new kernel reads the next header instead, and the REGISTER passes; an old kernel drops it."""
    wrong = b"Contact: <sip:x@192.168.1.20%b>\r\n" % port
    message = changed(REGISTER, (b"Contact:", wrong + b"Contact:"))
    left = sent(line, message)
    assert left is not None
    assert wrong in left
    assert b"\r\nContact: <sip:alice@203.0.113.7:61002>" in left


def test_an_old_kernel_drops_a_register_with_a_low_port(new_line: LineMaker) -> None:
    line = new_line(OLD)
    assert (
        sent(
            line,
            changed(REGISTER, (b"Contact: <sip:alice@192.168.1.20:5060>", b"Contact: <sip:a@1.2.3.4:80>")),
        )
        is None
    )
    assert sent(line, options(b"Contact: <sip:a@192.168.1.20:80>")) is not None


def test_an_old_kernel_looks_for_parameters_where_the_old_address_ended() -> None:
    """A shorter address moves the parameters forward, so the kernel does not find them."""
    far = (
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 203.0.113.123:61002;received=203.0.113.123\r\nCSeq: 1 X\r\n\r\n"
    )
    for model, received in ((MODEL, b"192.168.1.2"), (OLD, b"203.0.113.123")):
        gateway = Gateway(
            model,
            public_ip="203.0.113.123",
            inside_networks=["192.168.1.0/24"],
            nat=NatConfig(first_port=61002),
            rng=random.Random(0),
        )
        phone = Endpoint("192.168.1.2", 61002)
        gateway.handle(ip.udp(phone, REGISTRAR, options()), Side.INSIDE, 0.0)
        (emission,) = gateway.handle(
            ip.udp(REGISTRAR, Endpoint("203.0.113.123", 61002), far), Side.OUTSIDE, 0.1
        )
        assert b"received=" + received + b"\r\n" in emission.packet


def test_what_is_short_passes_unread(line: Line) -> None:
    for text in (b"\r\n\r\n", b"SIP/2.0 xx"):
        assert sent(line, text) == text
    assert sent(line, b"SIP/2.0 xxx") is None


# -- drops ----------------------------------------------------------------------------------------------

DROPPED = {
    "a response without a code": b"SIP/2.0 OK\r\nCSeq: 1 X\r\n\r\n",
    "a response without CSeq": b"SIP/2.0 200 OK\r\n\r\n",
    "INVITE without CSeq": b"INVITE sip:b@lab.test SIP/2.0\r\n\r\n",
    "BYE whose CSeq is no number": b"BYE sip:b@lab.test SIP/2.0\r\nCSeq: x BYE\r\n\r\n",
    "CSeq too large": b"BYE sip:b@lab.test SIP/2.0\r\nCSeq: 4294967296 BYE\r\n\r\n",
    "expires= is no number": changed(REGISTER, (b":5060>\r\n", b":5060>;expires=soon\r\n")),
    "a low media port": changed(INVITE, (b"audio 49170", b"audio 1023")),
    "a high media port": changed(INVITE, (b"audio 49170", b"audio 65536")),
    "no c=": changed(INVITE, (b"c=IN", b"x=IN")),
    "c= with a name": changed(INVITE, (b"c=IN IP4 192.168.1.20", b"c=IN IP4 host.example")),
    "no o=": changed(INVITE, (b"o=alice", b"x=alice")),
    "o= with a name": changed(INVITE, (b"IN IP4 192.168.1.20\r\ns=", b"IN IP4 host.example\r\ns=")),
    "no Content-Length": changed(INVITE, (b"Content-Length: 110\r\n", b"")),
}  # fmt: skip


@pytest.mark.parametrize("name", DROPPED)
def test_drops(line: Line, name: str) -> None:
    line.out(options())
    assert sent(line, DROPPED[name]) is None


@pytest.mark.parametrize("text", [b"CSeq: x OPTIONS", b"X: y"])
def test_other_methods_need_no_cseq(line: Line, text: bytes) -> None:
    assert sent(line, b"OPTIONS sip:lab.test SIP/2.0\r\n%b\r\n\r\n" % text) is not None


def test_cseq_0_is_an_old_kernel_s_trouble(new_line: LineMaker) -> None:
    message = changed(REGISTER, (b"CSeq: 1", b"CSeq: 0"))
    assert sent(new_line(MODEL), message) is not None
    assert sent(new_line(OLD), message) is None


def test_a_first_packet_that_is_dropped_opens_nothing_and_a_later_one_refreshes(line: Line) -> None:
    assert sent(line, DROPPED["no c="]) is None
    assert arrived(line, options()) is None
    line.out(options())
    line.now = 3000.0
    assert sent(line, DROPPED["no c="]) is None
    line.now = 6000.0
    assert arrived(line, options()) == PHONE


# -- session descriptions -----------------------------------------------------------------------------

# Each body that is sent, and the lines in it that change.
BODIES: dict[str, tuple[bytes, dict[bytes, bytes]]] = {
    "plain": (
        SDP,
        {
            b"o=alice 1 1 IN IP4 192.168.1.20": b"o=alice 1 1 IN IP4 203.0.113.7",
            b"c=IN IP4 192.168.1.20": b"c=IN IP4 203.0.113.7",
        },
    ),
    "foreign media stay, and are copied to o=": (
        changed(SDP, (b"c=IN IP4 192.168.1.20", b"c=IN IP4 198.51.100.99")),
        {b"o=alice 1 1 IN IP4 192.168.1.20": b"o=alice 1 1 IN IP4 198.51.100.99"},
    ),
    "hold by 0.0.0.0": (
        changed(SDP, (b"c=IN IP4 192.168.1.20", b"c=IN IP4 0.0.0.0")),
        {b"o=alice 1 1 IN IP4 192.168.1.20": b"o=alice 1 1 IN IP4 0.0.0.0"},
    ),
    "refused": (changed(SDP, (b"audio 49170", b"audio 0")), {}),
    "other kinds of media": (changed(SDP, (b"m=audio", b"m=application")), {}),
    "refused, and o= of another host": (
        changed(SDP, (b"audio 49170", b"audio 0"), (b"IP4 192.168.1.20\r\ns", b"IP4 192.168.1.9\r\ns")),
        {b"o=alice 1 1 IN IP4 192.168.1.9": b"o=alice 1 1 IN IP4 192.168.1.20"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_session_descriptions(line: Line, name: str) -> None:
    body, lines = BODIES[name]
    left = line.out(with_body(INVITE, body))
    expected = b"\r\n".join(lines.get(each, each) for each in body.split(b"\r\n"))
    assert SipMessage.parse(left).body == expected
    assert value(left, b"content-length") == b"%d" % len(expected)


@pytest.mark.parametrize("method", [b"REFER", b"INFO", b"OPTIONS", b"MESSAGE", b"SUBSCRIBE"])
def test_methods_whose_body_nobody_reads(line: Line, method: bytes) -> None:
    left = line.out(changed(INVITE, (b"INVITE sip:", method + b" sip:"), (b"1 INVITE", b"1 " + method)))
    assert SipMessage.parse(left).body == SDP


@pytest.mark.parametrize("method", [b"UPDATE", b"ACK", b"PRACK", b"invite"])
def test_methods_whose_body_is_read(line: Line, method: bytes) -> None:
    left = line.out(changed(INVITE, (b"INVITE sip:", method + b" sip:"), (b"1 INVITE", b"1 " + method)))
    assert SipMessage.parse(left).body != SDP


@pytest.mark.parametrize(("status", "read"), [(183, True), (200, True), (488, False)])
def test_responses_whose_body_is_read(line: Line, status: int, read: bool) -> None:
    line.out(options())
    left = line.out(changed(INVITE, (b"INVITE sip:bob@lab.test SIP/2.0", b"SIP/2.0 %d x" % status)))
    assert (SipMessage.parse(left).body != SDP) is read


def test_content_length_of_a_multipart_body_counts_to_its_end(line: Line) -> None:
    body = b"--x\r\n\r\n" + SDP + b"--x--\r\n"
    left = line.out(with_body(INVITE, body))
    found = SipMessage.parse(left).body
    assert value(left, b"content-length") == b"%d" % (len(found) - len(b"--x\r\n\r\n"))


def test_four_streams_three_looked_at(line: Line) -> None:
    own = b"m=audio %d RTP/AVP 0\r\nc=IN IP4 192.168.1.20\r\n"
    body = SDP.partition(b"c=")[0] + b"t=0 0\r\n" + b"".join(own % port for port in (5000, 5002, 5004, 5006))
    left = SipMessage.parse(line.out(with_body(INVITE, body))).body
    assert left.count(b"c=IN IP4 203.0.113.7\r\n") == 3
    assert left.endswith(b"m=audio 5006 RTP/AVP 0\r\nc=IN IP4 192.168.1.20\r\n")
