"""The Linux kernel's ALG: its pinholes, registrations and timers, TCP, and parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from siplab.alg_models.catalogue import load
from siplab.alg_models.exact.linux import MODEL
from siplab.alg_models.samples import PHONE, PUBLIC, REGISTRAR, RELAY, SECOND_PHONE
from siplab.alg_models.samples.basic import FAR_SDP, INCOMING, INVITE, INVITE_OK, REGISTER, REGISTER_OK, SDP
from siplab.alg_models.samples.headers import CHALLENGE
from siplab.alg_models.samples.media import with_body
from siplab.lab.errors import UsageError
from siplab.lab.gateway.gateway import Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import ACK, PSH, SYN, Endpoint
from siplab.lab.wire.sip import SipMessage
from tests.alg_models.test_linux import (
    ANOTHER_PORT,
    OLD,
    PUBLIC_RTP,
    RTP,
    STRANGER,
    arrived,
    changed,
    options,
    passed,
    value,
)

if TYPE_CHECKING:
    from tests.alg_models.conftest import Line, LineMaker


@pytest.fixture
def line(new_line: LineMaker) -> Line:
    return new_line(MODEL)


# -- media pinholes -------------------------------------------------------------------------------------


def test_media_of_the_provider_s_host_come_in_once(line: Line) -> None:
    """The pinhole serves one flow: it ends when it is used, or when its time is over."""
    line.out(INVITE)
    source = Endpoint(REGISTRAR.ip, 40000)
    assert arrived(line, RTP, RELAY, PUBLIC_RTP) is None
    assert arrived(line, RTP, source, PUBLIC_RTP) == Endpoint(PHONE.ip, 49170)
    assert arrived(line, RTP, source._replace(port=40001), PUBLIC_RTP._replace(port=49171)) == Endpoint(
        PHONE.ip, 49171
    )
    assert arrived(line, RTP, source._replace(port=40002), PUBLIC_RTP) is None
    assert arrived(line, RTP, source, PUBLIC_RTP) == Endpoint(PHONE.ip, 49170)


def test_media_from_anywhere_without_direct_media(new_line: LineMaker) -> None:
    line = new_line(MODEL.with_parameters({"sip_direct_media": False}))
    line.out(INVITE)
    assert arrived(line, RTP, RELAY, PUBLIC_RTP) == Endpoint(PHONE.ip, 49170)


@pytest.mark.parametrize(("after", "open_"), [(179.0, True), (181.0, False)])
def test_media_pinholes_last_180_seconds(line: Line, after: float, open_: bool) -> None:
    line.out(INVITE)
    line.now = after
    assert (arrived(line, RTP, Endpoint(REGISTRAR.ip, 40000), PUBLIC_RTP) is not None) is open_


BYE = options().replace(b"OPTIONS", b"BYE")
ENDINGS = {
    "BYE": (BYE, True),
    "CANCEL": (BYE.replace(b"BYE", b"CANCEL"), False),
    "another INVITE": (changed(INVITE, (b"audio 49170", b"audio 0")), True),
    "refused": (b"SIP/2.0 486 Busy\r\nCSeq: 1 INVITE\r\n\r\n", True),
    "refused, another CSeq": (b"SIP/2.0 486 Busy\r\nCSeq: 2 INVITE\r\n\r\n", False),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_what_ends_media_pinholes(line: Line, name: str) -> None:
    message, ends = ENDINGS[name]
    line.out(INVITE)
    line.out(message)
    assert (arrived(line, RTP, Endpoint(REGISTRAR.ip, 40000), PUBLIC_RTP) is None) is ends


@pytest.mark.parametrize(("model", "port"), [(MODEL, None), (OLD, b"49172")])
def test_two_phones_with_one_media_port(new_line: LineMaker, model: object, port: bytes | None) -> None:
    """Two calls with the same expectation: the newest kernels drop the second, old ones use the next port."""
    assert model in (MODEL, OLD)
    line = new_line(MODEL if model is MODEL else OLD)
    line.out(INVITE)
    second = passed(
        line, ip.udp(SECOND_PHONE, REGISTRAR, INVITE.replace(b"192.168.1.20", b"192.168.1.21")), Side.INSIDE
    )
    assert (second is None) is (port is None)
    if second is not None and port is not None:
        assert b"m=audio " + port + b" RTP" in second.payload


def test_media_of_another_phone_in_the_home_is_direct(new_line: LineMaker) -> None:
    """If an offer comes back to the router, media go directly to the phone that made it."""
    line = new_line(MODEL.with_parameters({"sip_direct_media": False}))
    line.out(INVITE)
    line.out(options(), phone=SECOND_PHONE)
    offer = with_body(INCOMING, changed(SDP, (b"IN IP4 192.168.1.20\r\ns", b"IN IP4 203.0.113.7\r\ns"),
                                        (b"c=IN IP4 192.168.1.20", b"c=IN IP4 203.0.113.7")))  # fmt: skip
    turned = SipMessage.parse(line.back(offer, to=PUBLIC._replace(port=61004))).body
    assert b"c=IN IP4 192.168.1.20\r\n" in turned
    assert b"m=audio 49170 " in turned


def test_external_media_stay(new_line: LineMaker) -> None:
    line = new_line(MODEL.with_parameters({"sip_direct_media": False, "sip_external_media": True}))
    line.out(INVITE)
    assert SipMessage.parse(line.back(INVITE_OK)).body == FAR_SDP
    assert arrived(line, RTP, RELAY, PUBLIC_RTP) == Endpoint(PHONE.ip, 49170)


@pytest.mark.parametrize("address", [b"0.0.0.0", b"127.0.0.1"])
def test_an_address_of_no_host_is_not_external(new_line: LineMaker, address: bytes) -> None:
    """The kernel's route to it is the loopback interface, so the ALG writes the router's address."""
    line = new_line(MODEL.with_parameters({"sip_direct_media": False, "sip_external_media": True}))
    left = line.out(with_body(INVITE, changed(SDP, (b"c=IN IP4 192.168.1.20", b"c=IN IP4 " + address))))
    assert b"c=IN IP4 203.0.113.7\r\n" in SipMessage.parse(left).body


# -- registrations -----------------------------------------------------------------------------------


def test_calls_come_in_from_any_port_of_the_registrar(registered: Line) -> None:
    assert arrived(registered, INCOMING, ANOTHER_PORT) == PHONE
    assert arrived(registered, INCOMING, STRANGER) is None


def test_a_call_that_came_in_so_is_translated_both_ways(registered: Line) -> None:
    found = passed(registered, ip.udp(ANOTHER_PORT, PUBLIC, INCOMING), Side.OUTSIDE)
    assert found is not None
    assert found.payload.startswith(b"INVITE sip:alice@192.168.1.20:5060 ")
    back = passed(
        registered, ip.udp(PHONE, ANOTHER_PORT, options(b"Contact: <sip:192.168.1.20>")), Side.INSIDE
    )
    assert back is not None
    assert b"Contact: <sip:203.0.113.7:61002>" in back.payload


def test_without_direct_signalling_anybody_may_call(new_line: LineMaker) -> None:
    line = new_line(MODEL.with_parameters({"sip_direct_signalling": False}))
    line.out(REGISTER)
    line.back(REGISTER_OK)
    assert arrived(line, INCOMING, STRANGER) == PHONE


def test_the_way_in_opens_with_the_answer(line: Line) -> None:
    line.out(REGISTER)
    assert arrived(line, INCOMING, ANOTHER_PORT) is None
    line.back(b"SIP/2.0 100 Trying\r\nCSeq: 1 REGISTER\r\n\r\n")
    assert arrived(line, INCOMING, ANOTHER_PORT) is None
    line.back(REGISTER_OK)
    assert arrived(line, INCOMING, ANOTHER_PORT) == PHONE


@pytest.mark.parametrize(("after", "open_"), [(59.0, True), (61.0, False)])
def test_it_lasts_as_long_as_the_registrar_says(line: Line, after: float, open_: bool) -> None:
    line.out(REGISTER)
    line.back(changed(REGISTER_OK, (b"expires=3600", b"expires=60")))
    line.now = after
    assert (arrived(line, INCOMING, ANOTHER_PORT) is not None) is open_


CLOSINGS = {
    "a challenge": (CHALLENGE, True),
    "expires=0": (changed(REGISTER_OK, (b"expires=3600", b"expires=0")), True),
    "no Contact left": (b"SIP/2.0 200 OK\r\nCSeq: 1 REGISTER\r\n\r\n", True),
    "an answer to another REGISTER": (b"SIP/2.0 401 No\r\nCSeq: 7 REGISTER\r\n\r\n", False),
}


@pytest.mark.parametrize("name", CLOSINGS)
def test_what_closes_it(registered: Line, name: str) -> None:
    answer, closes = CLOSINGS[name]
    registered.out(REGISTER)
    registered.back(REGISTER_OK)
    registered.back(answer)
    assert (arrived(registered, INCOMING, ANOTHER_PORT) is None) is closes


def test_a_star_is_no_contact_so_the_way_in_stays(registered: Line) -> None:
    star = changed(REGISTER, (b"Contact: <sip:alice@192.168.1.20:5060>", b"Contact: *"), (b"3600", b"0"))
    registered.out(star.replace(b"CSeq: 1", b"CSeq: 2"))
    registered.back(b"SIP/2.0 200 OK\r\nCSeq: 2 REGISTER\r\n\r\n")
    assert arrived(registered, INCOMING, ANOTHER_PORT) == PHONE


def test_another_contact_port_is_kept_outside(line: Line) -> None:
    left = line.out(changed(REGISTER, (b"20:5060>", b"20:5070>")))
    assert value(left, b"contact") == b"<sip:alice@203.0.113.7:5070>"
    line.back(changed(REGISTER_OK, (b"203.0.113.7:61002>", b"203.0.113.7:5070>")))
    assert arrived(line, INCOMING, REGISTRAR, PUBLIC._replace(port=5070)) == PHONE._replace(port=5070)


@pytest.mark.parametrize(
    "contact", [b"<sip:a@192.168.1.21:5060>", b"<sip:a@192.168.1.20:5060;transport=tcp>"]
)
def test_contacts_that_nothing_is_expected_for(line: Line, contact: bytes) -> None:
    line.out(changed(REGISTER, (b"<sip:alice@192.168.1.20:5060>", contact)))
    line.back(REGISTER_OK)
    assert arrived(line, INCOMING, ANOTHER_PORT) is None


def test_a_keep_alive_holds_the_flow_for_an_hour(line: Line) -> None:
    line.out(options())
    for at in (3500.0, 7000.0):
        line.now = at
        assert arrived(line, b"\r\n\r\n") == PHONE
    line.now = 10700.0
    assert arrived(line, options()) is None


def test_sip_timeout_bounds_it_all(new_line: LineMaker) -> None:
    line = new_line(MODEL.with_parameters({"sip_timeout": 30}))
    line.out(REGISTER)
    line.back(REGISTER_OK)
    line.now = 31.0
    assert arrived(line, INCOMING) is None
    assert arrived(line, INCOMING, ANOTHER_PORT) is None


# -- a phone that listens elsewhere --------------------------------------------------------------------


def test_answers_go_to_the_port_in_via(new_line: LineMaker) -> None:
    line = new_line(MODEL, phone=PHONE._replace(port=40000))
    left = line.out(REGISTER)
    assert value(left, b"via").startswith(b"SIP/2.0/UDP 192.168.1.20:5060;")  # not the packet's own
    assert value(left, b"contact") == b"<sip:alice@203.0.113.7:61002>"
    for answer in (REGISTER_OK, CHALLENGE, INCOMING):
        assert arrived(line, answer) == PHONE
    assert arrived(line, b"\r\n\r\n") == PHONE._replace(port=40000)  # too short to be looked at


def test_calls_go_to_the_port_in_contact(new_line: LineMaker) -> None:
    line = new_line(MODEL, phone=PHONE._replace(port=40000))
    line.out(REGISTER)
    line.back(REGISTER_OK)
    found = passed(line, ip.udp(ANOTHER_PORT, PUBLIC, INCOMING), Side.OUTSIDE)
    assert found is not None
    assert found.destination == PHONE
    assert found.payload.startswith(b"INVITE sip:alice@192.168.1.20:5060 ")


def test_an_old_kernel_knows_nothing_of_that(new_line: LineMaker) -> None:
    line = new_line(OLD, phone=PHONE._replace(port=40000))
    line.out(REGISTER)
    assert arrived(line, REGISTER_OK) == PHONE._replace(port=40000)


# -- TCP ----------------------------------------------------------------------------------------------


class Stream:
    """The phone's connection; ``send`` returns what leaves for one segment."""

    def __init__(self, line: Line) -> None:
        self.line, self.seq = line, 1
        passed(line, ip.tcp(PHONE, REGISTRAR, seq=0, flags=SYN), Side.INSIDE)
        passed(line, ip.tcp(REGISTRAR, PUBLIC, seq=0, ack=1, flags=SYN | ACK), Side.OUTSIDE)

    def send(self, text: bytes) -> tuple[int, bytes] | None:
        packet = ip.tcp(PHONE, REGISTRAR, text, seq=self.seq, ack=1, flags=ACK | PSH)
        found = passed(self.line, packet, Side.INSIDE)
        self.seq += len(text)
        return (found.seq, found.payload) if found else None


OVER_TCP = options(b"Contact: <sip:192.168.1.20>", b"Content-Length: 0")
LEFT = options(b"Contact: <sip:203.0.113.7:61002>", b"Content-Length: 0")


def test_whole_messages_of_a_segment_and_the_numbers_after(line: Line) -> None:
    stream = Stream(line)
    assert stream.send(OVER_TCP * 2 + b"\r\n") == (1, LEFT * 2 + b"\r\n")
    assert stream.send(OVER_TCP) == (1 + 2 * len(LEFT) + 2, LEFT)


def test_a_message_in_two_segments_passes(line: Line) -> None:
    stream = Stream(line)
    assert stream.send(OVER_TCP[:60]) == (1, OVER_TCP[:60])
    # The kernel does not remember the first half, so it never reads the header.
    assert stream.send(OVER_TCP[60:]) == (61, OVER_TCP[60:])


def test_without_content_length_nothing_is_done(line: Line) -> None:
    text = options(b"Contact: <sip:192.168.1.20>")
    assert Stream(line).send(text) == (1, text)


def test_an_old_kernel_wants_content_length_last(new_line: LineMaker) -> None:
    text = options(b"Content-Length: 0", b"Contact: <sip:192.168.1.20>")
    assert Stream(new_line(OLD)).send(text) == (1, text)
    assert Stream(new_line(MODEL)).send(text) != (1, text)
    assert Stream(new_line(OLD)).send(OVER_TCP) == (1, LEFT)


def test_a_dropped_segment_may_be_sent_again(line: Line) -> None:
    stream = Stream(line)
    assert stream.send(b"SIP/2.0 x\r\nContent-Length: 0\r\n\r\n") is None
    stream.seq = 1
    assert stream.send(OVER_TCP) == (1, LEFT)


# -- parameters ---------------------------------------------------------------------------------------


def test_other_ports() -> None:
    catalogue = load(plugins=False)
    model = catalogue.get("linux(ports=5060 5080)")
    assert model.policy.ports == {5060, 5080}
    for wrong in (
        "linux(ports=0)",
        "linux(ports=sip)",
        "linux(ports=1 2 3 4 5 6 7 8 9)",
        "linux(sip_timeout=0)",
    ):
        with pytest.raises(UsageError, match="parameter"):
            catalogue.get(wrong)
    with pytest.raises(UsageError, match="kernel"):
        catalogue.get("linux(kernel=5)")
