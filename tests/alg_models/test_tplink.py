"""TP-Link's variant of an old Linux ALG: how it differs from ``linux(kernel=2.6.36)``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from siplab.alg_models.catalogue import load
from siplab.alg_models.exact.tplink_mt7628 import MODEL
from siplab.alg_models.samples import PHONE, PUBLIC, REGISTRAR, RELAY, SECOND_PHONE
from siplab.alg_models.samples.basic import INCOMING, INVITE, INVITE_OK, REGISTER, REGISTER_OK, SDP
from siplab.alg_models.samples.headers import CHALLENGE
from siplab.alg_models.samples.media import with_body
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage
from tests.alg_models.test_linux import (
    ANOTHER_PORT,
    PUBLIC_RTP,
    RTP,
    STRANGER,
    arrived,
    changed,
    options,
    sent,
    value,
)

if TYPE_CHECKING:
    from tests.alg_models.conftest import Line, LineMaker

MEDIA = Endpoint(PHONE.ip, 49170)


@pytest.fixture
def line(new_line: LineMaker) -> Line:
    return new_line(MODEL)


def test_via_by_address_alone(line: Line) -> None:
    line.out(options())
    via = b"Via: SIP/2.0/UDP 203.0.113.7:7777;received=203.0.113.7;rport=61002"
    answer = b"SIP/2.0 200 OK\r\nCSeq: 1 OPTIONS\r\n%b\r\n\r\n"
    restored = b"Via: SIP/2.0/UDP 203.0.113.7:7777;received=192.168.1.20;rport=5060"
    assert line.back(answer % via) == answer % restored


def test_answers_to_a_phone_that_listens_elsewhere_go_to_its_source_port(new_line: LineMaker) -> None:
    line = new_line(MODEL, phone=PHONE._replace(port=40000))
    line.out(REGISTER)
    assert arrived(line, REGISTER_OK) == PHONE._replace(port=40000)


# -- registrations -----------------------------------------------------------------------------------


def test_anybody_may_call_before_the_registrar_answers(line: Line) -> None:
    line.out(REGISTER)
    assert arrived(line, INCOMING, STRANGER) == PHONE
    line.now = 10.5
    assert arrived(line, INCOMING, ANOTHER_PORT) is None


@pytest.mark.parametrize(("after", "open_"), [(69.0, True), (71.0, False)])
def test_ten_seconds_more_than_the_registrar_says(line: Line, after: float, open_: bool) -> None:
    line.out(REGISTER)
    line.back(changed(REGISTER_OK, (b"expires=3600", b"expires=60")))
    line.now = after
    assert (arrived(line, INCOMING, STRANGER) is not None) is open_


def test_a_register_without_expires_opens_the_way(line: Line) -> None:
    line.out(changed(REGISTER, (b"Expires: 3600\r\n", b"")))
    assert arrived(line, INCOMING, STRANGER) == PHONE


def test_a_challenge_leaves_it_open_and_expires_0_closes_it(line: Line) -> None:
    line.out(REGISTER)
    line.back(REGISTER_OK)
    line.back(CHALLENGE)
    assert arrived(line, INCOMING, ANOTHER_PORT) == PHONE
    line.back(changed(REGISTER_OK, (b"expires=3600", b"expires=0")))
    assert arrived(line, INCOMING, STRANGER) is None


def test_a_repeated_register_keeps_non_standard_port_in_contact_private(line: Line) -> None:
    """Only the first REGISTER is rewritten, because its expectation exists when the second one comes."""
    register = changed(REGISTER, (b"20:5060>", b"20:5070>"))
    assert value(line.out(register), b"contact") == b"<sip:alice@203.0.113.7:5070>"
    assert value(line.out(register), b"contact") == b"<sip:alice@192.168.1.20:5070>"


def test_a_display_name_is_not_taken_for_the_uri(line: Line) -> None:
    """This kernel looks for the URI behind the first ``<``; mainline takes the first ``sip:`` of the line."""
    contact = b'"sip:alice@192.168.1.77" <sip:alice@192.168.1.20:5060>'
    register = changed(REGISTER, (b"<sip:alice@192.168.1.20:5060>", contact))
    assert value(line.out(register), b"contact").endswith(b" <sip:alice@203.0.113.7:61002>")


def test_an_answered_call_takes_the_registration_s_place(line: Line) -> None:
    line.out(REGISTER)
    line.back(REGISTER_OK)
    line.out(INVITE)
    line.back(INVITE_OK)
    assert arrived(line, INCOMING, ANOTHER_PORT) is None


# -- media --------------------------------------------------------------------------------------------


def test_media_from_anybody_until_the_time_is_over(line: Line) -> None:
    line.out(INVITE)
    for ending in (b"BYE sip:b@lab.test SIP/2.0\r\nCSeq: 2 BYE\r\n\r\n", options()):
        line.out(ending)
    line.back(b"SIP/2.0 486 Busy\r\nCSeq: 1 INVITE\r\n\r\n")
    assert arrived(line, RTP, RELAY, PUBLIC_RTP) == MEDIA
    line.now = 181.0
    assert arrived(line, RTP, STRANGER, PUBLIC_RTP._replace(port=49171)) is None


@pytest.mark.parametrize(("address", "written"), [(b"192.168.1.77", b"203.0.113.7"), (b"198.51.100.9",) * 2])
def test_media_of_other_hosts_are_translated_if_at_home(line: Line, address: bytes, written: bytes) -> None:
    left = line.out(with_body(INVITE, changed(SDP, (b"c=IN IP4 192.168.1.20", b"c=IN IP4 " + address))))
    assert b"c=IN IP4 " + written + b"\r\n" in SipMessage.parse(left).body


@pytest.mark.parametrize(("port", "direct"), [(5062, True), (5060, False)])
def test_a_call_from_phone_to_phone_is_turned_round(line: Line, port: int, direct: bool) -> None:
    """Only if the phones have different addresses and different ports: the ALG compares both."""
    line.out(INVITE)
    line.out(options(), phone=SECOND_PHONE._replace(port=port))
    second = line.gateway.nat.find(17, SECOND_PHONE._replace(port=port), REGISTRAR, line.now)
    assert second is not None
    public = b"IN IP4 203.0.113.7\r\n"
    offer = with_body(INCOMING, SDP.replace(b"IN IP4 192.168.1.20\r\n", public))
    turned = SipMessage.parse(line.back(offer, to=second.outside)).body
    assert (b"c=IN IP4 192.168.1.20\r\n" in turned) is direct


def test_two_calls_by_one_relay_port(line: Line) -> None:
    """Expectations for the far side clash, too; the second phone gets a port at which nobody listens."""
    line.out(INVITE)
    line.out(INVITE.replace(b"192.168.1.20", b"192.168.1.21"), phone=SECOND_PHONE)
    assert b"m=audio 40000 " in line.back(INVITE_OK)
    other = line.gateway.nat.find(17, SECOND_PHONE, REGISTRAR, line.now)
    assert other is not None
    assert b"m=audio 40002 " in line.back(INVITE_OK, to=other.outside)


def test_drops_as_old_kernels_do(line: Line) -> None:
    line.out(options())
    assert sent(line, changed(INVITE, (b"Content-Length: 110\r\n", b""))) is None
    assert sent(line, changed(REGISTER, (b"CSeq: 1", b"CSeq: 0"))) is None
    assert arrived(line, b"\r\n\r\n", REGISTRAR, PUBLIC) == PHONE


# -- the other generations ----------------------------------------------------------------------------


def generation(new_line: LineMaker, name: str) -> Line:
    return new_line(load(plugins=False).get(f"tplink-generations(generation={name})"))


@pytest.mark.parametrize(("name", "written"), [("t1", PHONE), ("t0", PUBLIC), ("t1b", PUBLIC)])
def test_headers_go_by_the_table_of_registrations(new_line: LineMaker, name: str, written: Endpoint) -> None:
    """Evidence 2.10: only t1 does this. All generations translate the description."""
    line = generation(new_line, name)
    left = line.out(INVITE)
    assert value(left, b"contact") == b"<sip:alice@%b>" % str(written).encode()
    assert b"\r\nc=IN IP4 203.0.113.7\r\n" in left


@pytest.mark.parametrize(("after", "known"), [(3609.0, True), (3611.0, False)])
def test_the_table_lives_as_long_as_the_registration(new_line: LineMaker, after: float, known: bool) -> None:
    line = generation(new_line, "t1")
    line.out(REGISTER)
    line.back(REGISTER_OK)
    line.now = after
    assert (value(line.out(INVITE), b"contact") == b"<sip:alice@203.0.113.7:61002>") is known


@pytest.mark.parametrize(("name", "open_"), [("t0", False), ("t1", True), ("t1b", True)])
def test_a_register_that_names_no_time(new_line: LineMaker, name: str, open_: bool) -> None:
    line = generation(new_line, name)
    line.out(changed(REGISTER, (b"Expires: 3600\r\n", b"")))
    assert (arrived(line, INCOMING, STRANGER) is not None) is open_


@pytest.mark.parametrize(("name", "port"), [("t0", 49170), ("t1", 49170), ("t1b", 4800)])
def test_the_port_that_is_opened(new_line: LineMaker, name: str, port: int) -> None:
    """49170 is 0xC012; with its bytes swapped it is 4800. The offer says 49170 in both cases."""
    line = generation(new_line, name)
    assert b"m=audio 49170 " in line.out(INVITE)
    assert arrived(line, RTP, RELAY, Endpoint(PUBLIC.ip, port)) == MEDIA._replace(port=port)
    assert arrived(line, RTP, RELAY, Endpoint(PUBLIC.ip, 49170 + 4800 - port)) is None


def test_descriptions_that_come_in_are_left_alone(new_line: LineMaker) -> None:
    line = generation(new_line, "t1")
    line.out(INVITE)
    assert SipMessage.parse(line.back(INVITE_OK)).body == SipMessage.parse(INVITE_OK).body


def test_the_first_generation_looks_at_audio_alone(new_line: LineMaker) -> None:
    line = generation(new_line, "t0")
    left = line.out(with_body(INVITE, SDP + b"m=video 49180 RTP/AVP 31\r\n"))
    assert b"m=video 49180 " in left
    assert arrived(line, RTP, RELAY, Endpoint(PUBLIC.ip, 49180)) is None
