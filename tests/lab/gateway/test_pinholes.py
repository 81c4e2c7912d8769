"""Pinholes that the correct ALG opens: for a registration, and for the media of a dialog."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from siplab.lab.gateway.nat_config import Dependence, Refresh
from siplab.lab.wire.ip import UDP, Endpoint

if TYPE_CHECKING:
    from tests.lab.gateway.conftest import Router

CorrectRouter = Callable[..., "Router"]

PHONE, REGISTRAR = Endpoint("192.168.1.20", 5060), Endpoint("198.51.100.10", 5060)
PROXY = Endpoint("198.51.100.10", 5080)  # another port of the registrar's address
STRANGER = Endpoint("192.0.2.66", 5060)
RTP, RTCP = Endpoint("192.168.1.20", 49170), Endpoint("192.168.1.20", 49171)
INVITE_IN = b"INVITE sip:alice@203.0.113.7:5060 SIP/2.0\r\nCall-ID: 9\r\nCSeq: 1 INVITE\r\n\r\n"


def register(router: Router, phone: Endpoint = PHONE) -> None:
    router.send(
        phone,
        REGISTRAR,
        b"REGISTER sip:lab.test SIP/2.0\r\nVia: SIP/2.0/UDP %s:%d;rport\r\nCall-ID: 1\r\n"
        b"To: <sip:alice@lab.test>\r\nCSeq: 1 REGISTER\r\nContact: <sip:alice@%s:%d>\r\n\r\n"
        % (phone.ip.encode(), phone.port, phone.ip.encode(), phone.port),
    )


def answered(
    router: Router,
    status: int,
    headers: bytes = b"",
    *,
    to: bytes = b"<sip:alice@lab.test>",
    port: int = 5060,
) -> None:
    text = b"SIP/2.0 %d X\r\nTo: %s;tag=1\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n%s\r\n" % (status, to, headers)
    assert router.receive(REGISTRAR, port, text) is not None


def granted(seconds: int, address: bytes = b"203.0.113.7:5060") -> bytes:
    return b"Contact: <sip:alice@%s>;expires=%d\r\n" % (address, seconds)


def reachable(router: Router, source: Endpoint = REGISTRAR, port: int = 5060) -> bool:
    return router.receive(source, port, INVITE_IN) is not None


# -- registrations ---------------------------------------------------------------------------------


@pytest.mark.parametrize("refresh", Refresh)
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(granted(3600), id="parameter"),
        pytest.param(b"Expires: 3600\r\nContact: <sip:alice@203.0.113.7:5060>\r\n", id="header"),
        pytest.param(b"Expires: 60\r\n" + granted(3600), id="parameter before header"),
        pytest.param(b"Contact: <sip:alice@203.0.113.7:5060>\r\n", id="neither: an hour"),
        pytest.param(b"m: <sip:alice@203.0.113.7:5060>\r\n ;expires=3600\r\n", id="compact and folded"),
        pytest.param(
            b'Contact: "a, b" <sip:alice@203.0.113.7:5060>;+sip.instance="x,y";expires=3600\r\n',
            id="commas in quotes",
        ),
        pytest.param(
            b"Contact: <sip:alice@192.0.2.9>;expires=5, <sip:alice@203.0.113.7:5060>;expires=3600\r\n",
            id="second of a list",
        ),
        pytest.param(granted(3600, b"203.0.113.7:5060;expires=7"), id="a URI parameter is none"),
    ],
)
def test_open_for_exactly_what_the_registrar_grants(
    correct_router: CorrectRouter, answer: bytes, refresh: Refresh
) -> None:
    router = correct_router(udp_timeout=30, refresh=refresh)
    register(router)
    router.now = 2.0
    answered(router, 200, answer)
    router.now = 1000.0
    assert reachable(router)
    assert reachable(router, PROXY)
    assert not reachable(router, STRANGER)
    router.now = 3601.999
    assert reachable(router)
    router.now = 3700.0  # past the NAT's own timer too, which the last packet may have restarted
    assert not reachable(router)


def test_the_end_to_the_moment(correct_router: CorrectRouter) -> None:
    for now, open_ in ((3599.999, True), (3600.0, False)):
        router = correct_router(udp_timeout=30)
        register(router)
        answered(router, 200, granted(3600))
        router.now = now
        assert reachable(router) is open_


def test_a_shorter_grant_counts_at_once_for_flows_already_known(correct_router: CorrectRouter) -> None:
    router = correct_router(udp_timeout=10_000)
    register(router)
    answered(router, 200, granted(3600))
    assert reachable(router, PROXY)
    register(router)
    answered(router, 200, granted(60))
    router.now = 59.0
    assert reachable(router, PROXY)
    router.now = 60.0
    assert not reachable(router, PROXY)
    assert reachable(router)  # because of the NAT's own timer


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing is listed"),
        pytest.param(b"Contact: *\r\n", id="star"),
        pytest.param(granted(0), id="expires 0"),
        pytest.param(granted(3600, b"192.0.2.9:5060"), id="only another phone"),
    ],
)
def test_deregistration_closes_it(correct_router: CorrectRouter, answer: bytes) -> None:
    router = correct_router(udp_timeout=30)
    register(router)
    answered(router, 200, granted(3600))
    router.now = 100.0
    register(router)
    answered(router, 200, answer)
    assert not reachable(router, PROXY)
    assert reachable(router)  # its own traffic keeps the registrar's flow for the NAT's time
    router.now = 130.0
    assert not reachable(router)


@pytest.mark.parametrize("status", [100, 401, 407, 423, 500])
def test_a_challenge_or_failure_leaves_open_what_is_open(correct_router: CorrectRouter, status: int) -> None:
    router = correct_router(udp_timeout=30)
    register(router)
    answered(router, 200, granted(3600))
    router.now = 100.0
    register(router)
    answered(router, status)
    router.now = 3599.0
    assert reachable(router)


def test_nothing_is_open_before_the_answer_or_by_another_one(correct_router: CorrectRouter) -> None:
    router = correct_router(udp_timeout=30)
    register(router)
    assert not reachable(router, PROXY)
    assert router.receive(REGISTRAR, 5060, b"SIP/2.0 200 OK\r\nCSeq: 1 OPTIONS\r\n" + granted(60) + b"\r\n")
    assert not reachable(router, PROXY)
    answered(router, 401, granted(60))
    assert not reachable(router, PROXY)


def test_two_lines_of_one_phone_are_held_apart(correct_router: CorrectRouter) -> None:
    router = correct_router(udp_timeout=30)
    register(router)
    answered(router, 200, granted(3600))
    answered(router, 200, granted(60), to=b"<sip:work@lab.test>")
    answered(router, 200, to=b"<sip:work@lab.test>")
    router.now = 1000.0
    assert reachable(router)


def test_two_phones_of_one_line_are_held_apart(correct_router: CorrectRouter) -> None:
    router = correct_router(udp_timeout=30)
    other = Endpoint("192.168.1.21", 5070)
    for phone in (PHONE, other):
        register(router, phone)
    both = granted(3600) + granted(3600, b"203.0.113.7:5070")
    answered(router, 200, granted(3600))
    answered(router, 200, both, port=5070)
    register(router, other)
    answered(router, 200, granted(3600), port=5070)  # the other one leaves
    assert reachable(router, PROXY)
    assert not reachable(router, PROXY, 5070)


def test_a_contact_at_non_standard_port_than_the_phone_sends_from(correct_router: CorrectRouter) -> None:
    router = correct_router(udp_timeout=30)
    text = (
        b"REGISTER sip:lab.test SIP/2.0\r\nCall-ID: 1\r\nTo: <sip:alice@lab.test>\r\n"
        b"CSeq: 1 REGISTER\r\nContact: <sip:alice@192.168.1.20>\r\n\r\n"
    )
    sender = Endpoint(PHONE.ip, 40000)
    left = router.send(sender, REGISTRAR, text)
    assert b"Contact: <sip:alice@203.0.113.7:5060>" in left.payload
    answered(router, 200, granted(3600), port=40000)
    packet = router.receive(PROXY, 5060, INVITE_IN)
    assert packet is not None
    assert packet.destination == PHONE
    router.send(sender, REGISTRAR, text)
    answered(router, 200, port=40000)
    assert not reachable(router, PROXY)


# -- media -----------------------------------------------------------------------------------------

SDP = (
    b"v=0\r\no=alice 1 1 IN IP4 192.168.1.20\r\ns=-\r\nc=IN IP4 192.168.1.20\r\nt=0 0\r\n"
    b"m=audio 49170 RTP/AVP 0\r\n"
)


def offer(router: Router, number: int = 1, sdp: bytes = SDP, call: bytes = b"c") -> bytes:
    """Send the phone's INVITE; returns the SDP as it leaves."""
    text = b"INVITE sip:bob@lab.test SIP/2.0\r\nCall-ID: %s\r\nCSeq: %d INVITE\r\nContent-Length: %d\r\n\r\n"
    left = router.send(PHONE, REGISTRAR, text % (call, number, len(sdp)) + sdp)
    return left.payload.partition(b"\r\n\r\n")[2]


def reply(router: Router, status: int, cseq: bytes, call: bytes = b"c") -> None:
    text = b"SIP/2.0 %d X\r\nCall-ID: %s\r\nCSeq: %s\r\n\r\n" % (status, call, cseq)
    assert router.receive(REGISTRAR, 5060, text) is not None


def hears(router: Router, port: int = 49170, source: Endpoint = STRANGER) -> Endpoint | None:
    """The inside endpoint that gets media sent to a public port, or ``None``."""
    packet = router.receive(source, port, b"\x80media")
    return packet.destination if packet else None


@pytest.mark.parametrize("filtering", Dependence)
def test_media_comes_in_from_anywhere_during_the_dialog(
    correct_router: CorrectRouter, filtering: Dependence
) -> None:
    router = correct_router(filtering=filtering, udp_timeout=30)
    assert hears(router) is None
    offer(router)
    assert hears(router) == RTP  # early media
    reply(router, 180, b"1 INVITE")
    reply(router, 200, b"1 INVITE")
    for source in (STRANGER, Endpoint("198.51.100.99", 30000)):
        assert hears(router, 49170, source) == RTP
        assert hears(router, 49171, source) == RTCP
    router.now = 3000.0  # after silence the dialog still exists
    router.send(PHONE, REGISTRAR, b"BYE sip:bob@lab.test SIP/2.0\r\nCall-ID: c\r\nCSeq: 2 BYE\r\n\r\n")
    assert hears(router) == RTP
    for challenge in (401, 407):
        reply(router, challenge, b"2 BYE")
        assert hears(router) == RTP
    reply(router, 200, b"2 BYE")
    assert (hears(router), hears(router, 49171)) == (None, None)


def test_a_bye_of_the_other_side_closes_with_the_phones_answer(correct_router: CorrectRouter) -> None:
    router = correct_router()
    offer(router)
    reply(router, 200, b"1 INVITE")
    bye = b"BYE sip:alice@203.0.113.7:5060 SIP/2.0\r\nCall-ID: c\r\nCSeq: 1 BYE\r\n\r\n"
    assert router.receive(REGISTRAR, 5060, bye) is not None
    assert hears(router) == RTP
    router.send(PHONE, REGISTRAR, b"SIP/2.0 481 Gone\r\nCall-ID: c\r\nCSeq: 1 BYE\r\n\r\n")
    assert hears(router) is None


@pytest.mark.parametrize("status", [302, 401, 407, 408, 486, 487, 603])
def test_a_failed_invite_closes_them(correct_router: CorrectRouter, status: int) -> None:
    router = correct_router()
    offer(router)
    reply(router, 180, b"1 INVITE")
    assert hears(router) == RTP
    reply(router, status, b"1 INVITE")
    assert hears(router) is None
    offer(router, 2)
    assert hears(router) == RTP


@pytest.mark.parametrize("status", [401, 488, 491, 500])
def test_a_failed_reinvite_leaves_them_open(correct_router: CorrectRouter, status: int) -> None:
    router = correct_router()
    offer(router)
    reply(router, 200, b"1 INVITE")
    offer(router, 2)
    reply(router, status, b"2 INVITE")
    assert hears(router) == RTP
    reply(router, 200, b"3 BYE")
    assert hears(router) is None


def test_the_end_of_one_call_leaves_another_open(correct_router: CorrectRouter) -> None:
    router = correct_router()
    offer(router)
    second = offer(router, sdp=SDP.replace(b"49170", b"49180"), call=b"d")
    assert b"m=audio 49180 " in second
    for call in (b"c", b"d"):
        reply(router, 200, b"1 INVITE", call)
    reply(router, 200, b"2 BYE", b"c")
    assert (hears(router), hears(router, 49180)) == (None, RTP._replace(port=49180))


def test_an_answer_of_the_phone_opens_them_too(correct_router: CorrectRouter) -> None:
    router = correct_router()
    router.send(PHONE, REGISTRAR, b"\r\n\r\n")
    head = b"SIP/2.0 200 OK\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nContent-Length: %d\r\n\r\n" % len(SDP)
    router.send(PHONE, REGISTRAR, head + SDP)
    assert hears(router) == RTP


def test_a_dialog_whose_end_is_never_seen_ends_after_a_day(correct_router: CorrectRouter) -> None:
    router = correct_router()
    offer(router)
    router.now = 86399.9
    assert hears(router) == RTP
    router = correct_router()
    offer(router)
    router.now = 86400.0
    assert hears(router) is None


def test_rtp_sent_before_the_offer_does_not_keep_its_port(correct_router: CorrectRouter) -> None:
    """The offer names a public pair. From then on the phone's media leave from it, even of a known flow."""
    router = correct_router()
    far = Endpoint("198.51.100.99", 30000)
    for _ in range(2):
        assert router.send(RTP, far).sport == 49170
    sdp = offer(router)
    port = int(sdp.partition(b"m=audio ")[2].split()[0])
    assert port != 49170
    assert router.send(RTP, far).sport == port
    assert hears(router, port) == RTP
    assert hears(router, port + 1) == RTCP


def test_rtcp_finds_its_port_beside_rtp_in_the_next_call_too(correct_router: CorrectRouter) -> None:
    router = correct_router(udp_timeout=60)
    offer(router)
    reply(router, 200, b"1 INVITE")
    router.send(RTP, STRANGER)
    reply(router, 200, b"2 BYE")
    router.now = 30.0
    assert router.gateway.nat.at_port(UDP, 49171, router.now) is not None
    offer(router, call=b"d")
    assert (hears(router), hears(router, 49171)) == (RTP, RTCP)


@pytest.mark.parametrize(
    "sdp",
    [
        pytest.param(SDP.replace(b"49170", b"0"), id="a refused stream"),
        pytest.param(SDP.replace(b"c=IN IP4 192.168.1.20", b"c=IN IP4 0.0.0.0"), id="an old-style hold"),
        pytest.param(SDP.replace(b"192.168.1.20", b"192.0.2.9"), id="somebody else's address"),
        pytest.param(SDP.replace(b"IP4 192.168.1.20", b"IP6 2001:db8:1::20"), id="IPv6"),
    ],
)
def test_nothing_is_opened_for(correct_router: CorrectRouter, sdp: bytes) -> None:
    router = correct_router()
    offer(router, sdp=sdp)
    assert [each.inside for each in router.gateway.nat.bindings] == [PHONE]


def test_without_a_port_for_media_no_other_phones_is_named(correct_router: CorrectRouter) -> None:
    router = correct_router(first_port=5060, last_port=5060)
    assert b"c=IN IP4 203.0.113.7\r\nt=0 0\r\nm=audio 49170 " in offer(router)  # preserved: it is free
    other = offer(router, sdp=SDP.replace(b".20", b".21"), call=b"d")
    assert b"c=IN IP4 192.168.1.21\r\nt=0 0\r\nm=audio 49170 " in other
    assert hears(router) == RTP
