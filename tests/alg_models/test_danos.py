"""The vRouter's ALG, rule by rule.

Each test names the file and function of danos/vyatta-dataplane, below src/npf/alg/sip, that has the rule
(sip_request.c at 0a29f75e, the others at 132bbda8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from siplab.alg_models.catalogue import load
from siplab.alg_models.samples import PUBLIC, REGISTRAR
from siplab.alg_models.samples.basic import FAR_SDP, INCOMING, INVITE, INVITE_OK, REGISTER, REGISTER_OK, SDP
from siplab.alg_models.samples.media import with_body
from siplab.lab.gateway.gateway import Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage
from tests.alg_models.test_linux import ANOTHER_PORT, RTP, arrived, changed, passed, sent, value

if TYPE_CHECKING:
    from tests.alg_models.conftest import Line, LineMaker

MODEL = load(plugins=False).get("danos")
FAR_MEDIA = Endpoint("198.51.100.20", 40000)
# Messages as the server sees them: the Call-ID has the public address.
OK = changed(INVITE_OK, (b"b95c5d87@192.168.1.20", b"b95c5d87@203.0.113.7"))


@pytest.fixture
def line(new_line: LineMaker) -> Line:
    return new_line(MODEL)


def back(line: Line, message: bytes) -> bytes | None:
    found = passed(line, ip.udp(REGISTRAR, line.public, message), Side.OUTSIDE)
    return found.payload if found else None


def media(line: Line, source: Endpoint, port: int) -> bool:
    """Whether the phone gets a packet from ``source`` to the public port."""
    return passed(line, ip.udp(source, Endpoint(PUBLIC.ip, port), RTP), Side.OUTSIDE) is not None


def of(status: bytes, sdp: bytes = FAR_SDP) -> bytes:
    return with_body(changed(OK, (b"200 OK", status)), sdp)


def with_field(message: bytes, *fields: bytes) -> bytes:
    return changed(message, (b"Max-Forwards: 70\r\n", b"Max-Forwards: 70\r\n" + b"\r\n".join([*fields, b""])))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"Route: <sip:192.168.1.20:5060;lr>", b"Route: <sip:203.0.113.7:61002;lr>"),
        (b"User-Agent: p (192.168.1.20:5060)", b"User-Agent: p (203.0.113.7:5060)"),
        (
            b"P-Asserted-Identity: <sip:a@192.168.1.20:5060>",
            b"P-Asserted-Identity: <sip:a@203.0.113.7:61002>",
        ),
        (b"P-Preferred-Identity: <sip:a@192.168.1.20>", b"P-Preferred-Identity: <sip:a@203.0.113.7>"),
        (b"Referred-By: <sip:a@192.168.1.20>", b"Referred-By: <sip:a@192.168.1.20>"),
        # The address alone is compared; a port beside it becomes the flow's.
        (b"Record-Route: <sip:192.168.1.20:9>", b"Record-Route: <sip:203.0.113.7:61002>"),
        (b"Record-Route: <sip:192.168.1.21:5060>", b"Record-Route: <sip:192.168.1.21:5060>"),
    ],
)
def test_requests_going_out(line: Line, before: bytes, after: bytes) -> None:
    """sip_translate.c, sip_alg_translate_snat, sip_translate_port_reqd, sip_alg_translate_header."""
    name, _, wanted = after.partition(b": ")
    assert value(line.out(with_field(REGISTER, before)), name.lower()) == wanted


def test_a_registration(line: Line) -> None:
    """sip_translate.c, sip_alg_translate_snat: Contact of an answer coming in is in none of its lists."""
    out = line.out(REGISTER)
    assert value(out, b"via").startswith(b"SIP/2.0/UDP 203.0.113.7:61002;rport;")
    assert value(out, b"contact") == b"<sip:alice@203.0.113.7:61002>"
    assert value(out, b"call-id") == b"a84b4c76@203.0.113.7"
    answer = line.back(changed(REGISTER_OK, (b"@192.168.1.20", b"@203.0.113.7")))
    # rport and received stay.
    assert value(answer, b"via") == (
        b"SIP/2.0/UDP 192.168.1.20:5060;rport=61002;branch=z9hG4bK74;received=203.0.113.7"
    )
    assert value(answer, b"contact") == b"<sip:alice@203.0.113.7:61002>;expires=3600"
    assert value(answer, b"call-id") == b"a84b4c76@192.168.1.20"


def test_a_message_is_printed_anew(line: Line) -> None:
    """sip_translate.c, sip_alg_update_payload, and the comment above sip_alg_translate_route."""
    compact = changed(
        REGISTER,
        (b"Via: ", b"v:"),
        (b"Contact: ", b"m : "),
        (b"Content-Length: 0\r\n", b"Route: <sip:192.0.2.1;lr>, <sip:192.0.2.2;lr>\r\nX-Own:  kept\r\n"),
    )
    fields = [each.raw for each in SipMessage.parse(line.out(compact)).fields]
    assert fields[0].startswith(b"Via: SIP/2.0/UDP 203")
    assert b"Contact: <sip:alice@203.0.113.7:61002>\r\n" in fields
    assert fields[-4:] == [
        b"Route: <sip:192.0.2.1;lr>\r\n",
        b"Route: <sip:192.0.2.2;lr>\r\n",
        b"X-Own: kept\r\n",
        b"Content-Length: 0\r\n",
    ]


@pytest.mark.parametrize("needed", [b"To: ", b"From: ", b"CSeq: ", b"Call-ID: ", b"Via: "])
def test_what_lacks_a_header_is_dropped(line: Line, needed: bytes) -> None:
    """alg_sip.c, sip_alg_verify."""
    assert sent(line, changed(with_field(REGISTER, b"X: " + b"y" * 99), (needed, b"X-" + needed))) is None


@pytest.mark.parametrize("short", [b"\r\n\r\n", b"OPTIONS sip:lab.test SIP/2.0\r\n\r\n", b"z" * 250])
def test_what_is_short_or_no_message_is_dropped(line: Line, short: bytes) -> None:
    """sip_parse.c, sip_alg_parse: SIP_MSG_MIN_LENGTH."""
    assert sent(line, short) is None


def test_a_call_out(line: Line) -> None:
    """sip_parse.c, sip_alg_manage_media; sip_response.c, sip_alg_create_rtp_tuples."""
    offer = line.out(INVITE)
    assert b"o=alice 1 1 IN IP4 203.0.113.7\r\n" in offer
    assert b"c=IN IP4 203.0.113.7\r\n" in offer
    port = int(offer.partition(b"m=audio ")[2].split()[0])
    assert port % 2 == 0
    assert not media(line, FAR_MEDIA, port)  # before the answer
    answer = line.back(OK)
    assert answer.endswith(FAR_SDP)
    assert media(line, FAR_MEDIA, port)
    assert media(line, FAR_MEDIA._replace(port=40001), port + 1)
    assert not media(line, FAR_MEDIA._replace(port=40002), port)
    assert not media(line, Endpoint("198.51.100.66", 40000), port)
    # BYE ends nothing (sip_request.c, sip_manage_request).
    bye = changed(with_body(INVITE, b""), (b"INVITE sip", b"BYE sip"), (b"CSeq: 1 INVITE", b"CSeq: 2 BYE"))
    line.out(bye)
    assert media(line, FAR_MEDIA, port)


@pytest.mark.parametrize(
    ("expires", "later", "open_"), [(b"", 31.0, True), (b"", 33.0, False), (b"Expires: 50", 33.0, True)]
)
def test_how_long_an_offer_waits(line: Line, expires: bytes, later: float, open_: bool) -> None:
    """sip_request.c, sip_alg_expires."""
    offer = line.out(with_field(INVITE, expires) if expires else INVITE)
    port = int(offer.partition(b"m=audio ")[2].split()[0])
    line.now = later
    assert b"SIP/2.0 200" in line.back(OK)
    assert media(line, FAR_MEDIA, port) is open_


def test_what_is_announced_for_another_host_stays(line: Line) -> None:
    """sip_translate.c, sip_alg_update_media."""
    other = SDP.replace(b"192.168.1.20", b"192.168.1.21")
    assert line.out(with_body(INVITE, other)).endswith(other)


def test_a_port_for_reports_is_translated(line: Line) -> None:
    """sip_parse.c, sip_alg_reserve_ports and sip_alg_sdp_set_rtcp_attribute."""
    own = changed(SDP, (b"a=sendrecv", b"a=rtcp:50000 IN IP4 192.168.1.20"))
    line_ = line.out(with_body(INVITE, own)).partition(b"a=rtcp:")[2].split()
    assert line_[0] != b"50000"
    assert line_[3] == b"203.0.113.7"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        changed(SDP, (b"m=audio 49170", b"m=audio 0")),
        changed(SDP, (b"RTP/AVP 0", b"udptl t38")),
        changed(SDP, (b"RTP/AVP 0", b"TCP/MSRP *")),
        changed(SDP, (b"c=IN IP4 192.168.1.20", b"b=AS:64")),
        changed(SDP, (b"c=IN IP4 192.168.1.20", b"c=IN IP4 pbx.lan")),
    ],
    ids=["late offer", "port 0", "udptl", "MSRP", "no c=", "c= a name"],
)
def test_offers_that_are_dropped(line: Line, body: bytes) -> None:
    """sip_request.c, sip_manage_request; sip_parse.c, sip_alg_parse_media_ports and sip_alg_manage_media."""
    long = with_field(INVITE, b"X: " + b"y" * 99)
    assert sent(line, with_body(long, body)) is None
    assert sent(line, with_body(long, SDP)) is not None


def test_a_body_of_another_kind_counts_for_none(line: Line) -> None:
    """sip_parse.c, sip_alg_body_is_sdp."""
    assert sent(line, with_body(INVITE, SDP, content_type=b"multipart/mixed;boundary=x")) is None


@pytest.mark.parametrize(
    ("answer", "arrives"),
    [
        (of(b"183 Session Progress"), True),
        (of(b"183 Session Progress", b""), False),
        (of(b"180 Ringing", b""), True),
        (of(b"200 OK", b""), True),
        (of(b"200 OK", FAR_SDP + b"m=video 40002 RTP/AVP 96\r\n"), False),
        (of(b"200 OK", FAR_SDP.replace(b"m=audio 40000", b"m=audio 0")), False),
        (of(b"486 Busy Here", b""), True),
    ],
)
def test_answers_coming_in(line: Line, answer: bytes, arrives: bool) -> None:
    """sip_response.c, sip_manage_response and sip_alg_resolve_media."""
    line.out(INVITE)
    assert (back(line, answer) is not None) is arrives


def test_after_early_media_the_200_opens_nothing_new(line: Line) -> None:
    """sip_response.c, sip_manage_response: a 183 takes the offer."""
    port = int(line.out(INVITE).partition(b"m=audio ")[2].split()[0])
    line.back(of(b"183 Session Progress"))
    line.back(of(b"200 OK", FAR_SDP.replace(b"40000", b"40010")))
    assert media(line, FAR_MEDIA, port)
    assert not media(line, FAR_MEDIA._replace(port=40010), port)


def test_who_is_called_answers_with_the_private_address(line: Line) -> None:
    """sip_response.c, sip_manage_response: only answers that come back are looked into."""
    line.out(REGISTER)
    arrived_ = line.back(INCOMING)
    assert arrived_.startswith(b"INVITE sip:alice@192.168.1.20:5060 ")
    vias = b"".join(each.raw for each in SipMessage.parse(arrived_).all(b"via"))
    fields = b"".join(
        each.raw
        for each in SipMessage.parse(arrived_).fields
        if each.name in (b"from", b"to", b"call-id", b"cseq")
    )
    answer = (
        b"SIP/2.0 200 OK\r\n%b%bContact: <sip:alice@192.168.1.20:5060>\r\nContent-Type: application/sdp\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (vias, fields, len(SDP), SDP)
    )
    left = line.out(answer)
    assert value(left, b"contact") == b"<sip:alice@203.0.113.7:61002>"
    assert left.endswith(SDP)


def test_answers_may_come_from_another_port_and_requests_may_not(line: Line) -> None:
    """sip_request.c, sip_alg_add_cntl_tuple and sip_parse_reply_path."""
    assert arrived(line, OK, ANOTHER_PORT) is None
    line.out(INVITE)
    assert arrived(line, OK, ANOTHER_PORT) is not None
    assert arrived(line, INCOMING, ANOTHER_PORT) is None


def test_a_forwarded_port_has_a_table_of_its_own(new_line: LineMaker) -> None:
    """sip_translate.c, sip_alg_translate_dnat."""
    line = new_line(MODEL)
    forwarded = line.gateway.nat.reserve_at(ip.UDP, line.phone, 5060, 0.0)
    assert forwarded is not None
    line.gateway.nat.open_pinhole(forwarded, None, 1e9, "forwarded")
    call = changed(INCOMING, (b"alice@203.0.113.7:61002", b"alice@203.0.113.7:5060"))
    packet = ip.udp(REGISTRAR, Endpoint(PUBLIC.ip, 5060), call)
    found = passed(line, packet, Side.OUTSIDE)
    assert found is not None
    assert found.payload.startswith(b"INVITE sip:alice@192.168.1.20:5060 ")
