"""The header table of Juniper and Fortinet, cell by cell, and the settings around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from siplab.alg_models.catalogue import load
from siplab.alg_models.exact.sbc_like import MODEL
from siplab.alg_models.samples import PHONE, PUBLIC, REGISTRAR, RELAY, cross, media, state, wire
from siplab.alg_models.samples.basic import INCOMING, INVITE, INVITE_OK, REGISTER, REGISTER_OK
from siplab.lab.gateway.gateway import Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

if TYPE_CHECKING:
    from tests.alg_models.conftest import Line, LineMaker

# One line per header, with the local address (going out) or the ALG's (coming in).
FIELDS = wire(b"""\
Via: SIP/2.0/UDP %(at)s;branch=z9hG4bK1
From: <sip:a@%(name)s>;tag=1
To: <sip:b@%(name)s>;tag=2
Call-ID: x@%(name)s
CSeq: 1 %(method)s
Contact: <sip:a@%(at)s>
Route: <sip:%(at)s;lr>
Record-Route: <sip:%(at)s;lr>
Refer-To: <sip:c@%(at)s>
Content-Length: 0

""")
LOCAL = {b"at": b"192.168.1.20:5060", b"name": b"192.168.1.20"}
ALG = {b"at": b"203.0.113.7:61002", b"name": b"203.0.113.7"}


def message(start: bytes, places: dict[bytes, bytes], method: bytes = b"OPTIONS") -> bytes:
    return start + b"\r\n" + FIELDS % {**places, b"method": method}


@pytest.fixture
def line(new_line: LineMaker) -> Line:
    line = new_line(MODEL)
    line.out(REGISTER)
    return line


def made(new_line: LineMaker, spec: str) -> Line:
    line = new_line(load(plugins=False).get(spec))
    line.out(REGISTER)
    return line


def changes(sent: bytes, left: bytes) -> dict[bytes, bytes]:
    """The header values that changed, by name."""
    before, after = SipMessage.parse(sent), SipMessage.parse(left)
    found = {
        old.name: new.value
        for old, new in zip(before.fields, after.fields, strict=True)
        if old.raw != new.raw
    }
    if before.request_uri != after.request_uri:
        found[b"request-uri"] = after.request_uri
    return found


def passed(line: Line, packet: bytes, side: Side) -> ip.Packet | None:
    (emission,) = line.gateway.handle(packet, side, line.now)
    assert not emission.error
    return None if emission.side is None else ip.parse(emission.packet)


# -- the table --------------------------------------------------------------------------------------

OUT_REQUEST = message(b"OPTIONS sip:b@192.168.1.20 SIP/2.0", LOCAL)
HIDDEN = {
    b"via": b"SIP/2.0/UDP 203.0.113.7:61002;branch=z9hG4bK1",
    b"from": b"<sip:a@203.0.113.7>;tag=1",
    b"call-id": b"x@203.0.113.7",
    b"contact": b"<sip:a@203.0.113.7:61002>",
    b"record-route": b"<sip:203.0.113.7:61002;lr>",
}


def test_a_request_going_out(line: Line) -> None:
    assert changes(OUT_REQUEST, line.out(OUT_REQUEST)) == HIDDEN


def test_route_is_where_the_two_differ(new_line: LineMaker) -> None:
    forti = made(new_line, "sbc-like(vendor=fortinet)")
    assert changes(OUT_REQUEST, forti.out(OUT_REQUEST)) == HIDDEN | {b"route": b"<sip:203.0.113.7:61002;lr>"}
    back = OUT_REQUEST.replace(b"Route: <sip:192.168.1.20:5060", b"Route: <sip:203.0.113.7:61002", 1)
    assert changes(back, made(new_line, "sbc-like").out(back))[b"route"] == b"<sip:192.168.1.20:5060;lr>"
    assert b"route" not in changes(back, forti.out(back))


IN_RESPONSE = message(b"SIP/2.0 200 OK", ALG)
SHOWN = {b"from": b"<sip:a@192.168.1.20>;tag=1", b"call-id": b"x@192.168.1.20"}
CUT_CELLS = {
    b"via": b"SIP/2.0/UDP 192.168.1.20:5060;branch=z9hG4bK1",
    b"record-route": b"<sip:192.168.1.20:5060;lr>",
    b"route": b"<sip:192.168.1.20:5060;lr>",
}


def test_a_response_coming_in(line: Line) -> None:
    assert changes(IN_RESPONSE, line.back(IN_RESPONSE)) == SHOWN | CUT_CELLS


def test_the_cells_from_memory_can_be_left_out(new_line: LineMaker) -> None:
    assert changes(IN_RESPONSE, made(new_line, "sbc-like(cut_cells=left)").back(IN_RESPONSE)) == SHOWN
    contact = made(new_line, "sbc-like(cut_cells=left,contact_back=true)")
    assert changes(IN_RESPONSE, contact.back(IN_RESPONSE)) == SHOWN | {
        b"contact": b"<sip:a@192.168.1.20:5060>"
    }


def test_a_request_coming_in(line: Line) -> None:
    sent = message(b"OPTIONS sip:a@203.0.113.7:61002 SIP/2.0", ALG)
    expected = {b"request-uri": b"sip:a@192.168.1.20:5060", b"to": b"<sip:b@192.168.1.20>;tag=2"}
    assert changes(sent, line.back(sent)) == expected
    named = sent.replace(b"<sip:b@203.0.113.7>", b'"B" <sip:b@lab.test:5070;x=1>')
    assert changes(named, line.back(named))[b"to"] == b'"B" <sip:b@192.168.1.20;x=1>;tag=2'


def test_a_response_going_out(line: Line) -> None:
    sent = message(b"SIP/2.0 200 OK", LOCAL)
    shown = {b"contact": HIDDEN[b"contact"], b"record-route": HIDDEN[b"record-route"]}
    assert changes(sent, line.out(sent)) == shown
    printed = sent.replace(b"To: <sip:b@192.168.1.20>", b"To: <sip:b@203.0.113.7>")
    assert changes(printed, line.out(printed)) == shown | {b"to": b"<sip:b@192.168.1.20>;tag=2"}


@pytest.mark.parametrize(
    ("spec", "to"), [("sbc-like", b"192.168.1.20"), ("sbc-like(restore_to=true)", b"lab.test")]
)
def test_to_of_a_response_is_as_printed_or_restored(new_line: LineMaker, spec: str, to: bytes) -> None:
    line = made(new_line, spec)
    asked = SipMessage.parse(line.back(INCOMING))
    assert asked.value(b"to") == b"<sip:alice@192.168.1.20>"
    answer = bytes(SipMessage(b"SIP/2.0 180 Ringing\r\n", asked.fields))
    assert SipMessage.parse(line.out(answer)).value(b"to") == b"<sip:alice@" + to + b">"


def test_addresses_with_and_without_a_port(line: Line) -> None:
    sent = OUT_REQUEST.replace(b"From: <sip:a@192.168.1.20>", b"From: <sip:a@192.168.1.20:5060>")
    assert changes(sent, line.out(sent))[b"from"] == b"<sip:a@203.0.113.7:61002>;tag=1"
    named = OUT_REQUEST.replace(b"192.168.1.20", b"pbx.lan")
    assert changes(named, line.out(named)) == {}


# -- Call-ID ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "written"),
    [
        ("sbc-like", b"<sip:alice@203.0.113.7:61002>"),
        ("sbc-like(vendor=fortinet)", b"<sip:alice@203.0.113.7>"),
        ("sbc-like(vendor=fortinet,adds_port=true)", b"<sip:alice@203.0.113.7:61002>"),
        ("fortinet-fortigate", b"<sip:alice@203.0.113.7>"),
    ],
)
def test_a_contact_without_a_port(spec: str, written: bytes) -> None:
    crossed = cross(load(plugins=False).get(spec), "headers-contact-portless")
    assert b"Contact: <sip:alice@192.168.1.20>\r\n" in crossed.before
    assert b"Contact: " + written + b"\r\n" in crossed.after


def test_a_call_id_without_a_local_host_stays(line: Line) -> None:
    for call_id in (b"x", b"x@lab.test", b"x@198.51.100.20"):
        sent = OUT_REQUEST.replace(b"x@192.168.1.20", call_id)
        assert b"call-id" not in changes(sent, line.out(sent))


def test_call_id_hiding_can_be_disabled(new_line: LineMaker) -> None:
    line = made(new_line, "sbc-like(hide_call_id=false)")
    assert b"call-id" not in changes(OUT_REQUEST, line.out(OUT_REQUEST))
    assert b"call-id" not in changes(IN_RESPONSE, line.back(IN_RESPONSE))


@pytest.mark.parametrize(("spec", "known"), [("sbc-like", True), ("sbc-like(call_table=false)", False)])
def test_the_far_side_ends_a_call_that_the_phone_began(new_line: LineMaker, spec: str, known: bool) -> None:
    line = made(new_line, spec)
    line.out(INVITE)
    bye = message(b"BYE sip:a@203.0.113.7:61002 SIP/2.0", ALG, b"BYE")
    bye = bye.replace(b"Call-ID: x@", b"Call-ID: b95c5d87@")
    arrived = SipMessage.parse(line.back(bye))
    assert (arrived.value(b"call-id") == b"b95c5d87@192.168.1.20") is known
    answer = bytes(SipMessage(b"SIP/2.0 200 OK\r\n", arrived.fields))
    assert SipMessage.parse(line.out(answer)).value(b"call-id") == b"b95c5d87@203.0.113.7"


# -- what stands around the table -------------------------------------------------------------------


def media_arrives(line: Line, port: int) -> bool:
    return passed(line, ip.udp(RELAY, Endpoint(PUBLIC.ip, port), state.RTP), Side.OUTSIDE) is not None


def call(line: Line) -> int:
    """Alice calls; returns the public port of her media."""
    left = line.out(INVITE)
    line.back(INVITE_OK.replace(b"b95c5d87@192.168.1.20", b"b95c5d87@203.0.113.7"))
    return int(left.partition(b"m=audio ")[2].split(b" ")[0])


@pytest.mark.parametrize(
    ("spec", "trace"),
    [
        ("sbc-like", False),
        ("sbc-like(nat_trace=true)", True),
        ("sbc-like(vendor=fortinet)", True),
        ("sbc-like(vendor=fortinet,nat_trace=false)", False),
    ],
)
def test_the_trace_of_the_private_address(new_line: LineMaker, spec: str, trace: bool) -> None:
    left = SipMessage.parse(made(new_line, spec).out(INVITE))
    assert (b"\r\ni=(o=IN IP4 192.168.1.20)\r\n" in left.body) is trace
    assert left.content_length == len(left.body)
    assert b"c=IN IP4 203.0.113.7" in left.body


def test_descriptions_can_be_left_alone(new_line: LineMaker) -> None:
    line = made(new_line, "sbc-like(vendor=fortinet,no_sdp_fixup=true,nat_trace=false)")
    assert SipMessage.parse(line.out(INVITE)).body == SipMessage.parse(INVITE).body


def test_unknown_messages(new_line: LineMaker) -> None:
    for method, spec, arrives in (
        (b"PRIVATE", "sbc-like", False),
        (b"PRIVATE", "sbc-like(unknown_message=permit)", True),
        (b"SUBSCRIBE", "sbc-like", True),
    ):
        line = made(new_line, spec)
        sent = OUT_REQUEST.replace(b"OPTIONS", method)
        assert (passed(line, ip.udp(PHONE, REGISTRAR, sent), Side.INSIDE) is not None) is arrives


@pytest.mark.parametrize(
    ("spec", "stays"),
    [
        ("sbc-like", False),
        ("sbc-like(retain_hold_resource=true)", True),
        ("sbc-like(vendor=fortinet)", True),
    ],
)
def test_media_ports_of_a_call_on_hold(new_line: LineMaker, spec: str, stays: bool) -> None:
    line = made(new_line, spec)
    port = call(line)
    line.out(media.with_body(media.REINVITE, media.HELD))
    assert media_arrives(line, port) is stays
    left = line.out(media.REINVITE)
    assert (b"m=audio %d " % port in left) is stays
    assert b"m=audio 49170 " not in left


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [("sbc-like", 120.0), ("sbc-like(media_idle=30)", 30.0), ("sbc-like(media_idle=0)", None),
     ("sbc-like(vendor=fortinet)", None)],
)  # fmt: skip
def test_media_idle(new_line: LineMaker, spec: str, seconds: float | None) -> None:
    line = made(new_line, spec)
    port = call(line)
    for _ in range(3):
        line.now += (seconds or 1000.0) - 1
        assert media_arrives(line, port)
    line.now += (seconds or 1000.0) + 1
    assert media_arrives(line, port) is (seconds is None)


@pytest.mark.parametrize(
    ("spec", "limit"),
    [("sbc-like", 43200.0), ("sbc-like(call_minutes=30)", 1800.0), ("sbc-like(call_minutes=0)", None),
     ("sbc-like(vendor=fortinet)", None)],
)  # fmt: skip
def test_the_longest_call(new_line: LineMaker, spec: str, limit: float | None) -> None:
    """The ALG recognises the call on both sides, although each side sees another Call-ID."""
    line = made(new_line, spec)
    call(line)
    update = ip.udp(PHONE, REGISTRAR, state.UPDATE)
    line.now = (limit or 100000.0) - 1
    assert passed(line, update, Side.INSIDE) is not None
    line.now += 2
    assert (passed(line, update, Side.INSIDE) is None) is (limit is not None)


def test_the_end_of_a_call_closes_its_pinholes(line: Line) -> None:
    port = call(line)
    assert media_arrives(line, port)
    line.out(state.BYE)
    line.back(state.BYE_OK.replace(b"b95c5d87@192.168.1.20", b"b95c5d87@203.0.113.7"))
    assert not media_arrives(line, port)


@pytest.mark.parametrize(("now", "arrives"), [(3599.0, True), (3601.0, False)])
def test_a_registration_keeps_the_way_in_open(line: Line, now: float, arrives: bool) -> None:
    hidden = REGISTER_OK.replace(b"a84b4c76@192.168.1.20", b"a84b4c76@203.0.113.7")
    restored = SipMessage.parse(line.back(hidden))
    assert restored.value(b"call-id") == b"a84b4c76@192.168.1.20"
    assert restored.value(b"contact") == b"<sip:alice@203.0.113.7:61002>;expires=3600"
    line.now = now
    assert (passed(line, ip.udp(REGISTRAR, PUBLIC, INCOMING), Side.OUTSIDE) is not None) is arrives
