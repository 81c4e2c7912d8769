"""Quirky phones write messages in other ways, but nothing wrong."""

from __future__ import annotations

from typing import get_args

import pytest

from siplab.experiments.trial import registry
from siplab.experiments.trial.stage import Setup
from siplab.lab.phone.quirks import Quirk, styled
from siplab.lab.wire import syntax
from siplab.lab.wire.sip import SipMessage

ADDRESS = b"192.168.1.102"
SDP = (
    b"v=0\r\no=alice 1 1 IN IP4 192.168.1.102\r\ns=-\r\nc=IN IP4 192.168.1.102\r\nt=0 0\r\n"
    b"m=audio 49170 RTP/AVP 0\r\nm=video 49172 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
)


def message(method: bytes, more: bytes, body: bytes = b"") -> bytes:
    return (
        b"%b sip:lab.test SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP 192.168.1.102:5060;rport;branch=z9hG4bK74\r\n"
        b"Max-Forwards: 70\r\n"
        b"From: <sip:alice@lab.test>;tag=1\r\n"
        b"To: <sip:alice@lab.test>\r\n"
        b"Call-ID: 1@192.168.1.102\r\n"
        b"CSeq: 1 %b\r\n"
        b"Contact: <sip:alice@192.168.1.102:5060>\r\n"
        b"%bContent-Length: %d\r\n\r\n%b"
    ) % (method, method, more, len(body), body)


REGISTER = message(b"REGISTER", b"Expires: 3600\r\n")
INVITE = message(b"INVITE", b"Content-Type: application/sdp\r\n", SDP)


@pytest.mark.parametrize("quirk", get_args(Quirk))
def test_a_habit_shows_and_breaks_no_rule(quirk: Quirk) -> None:
    written = [styled(each, (quirk,), ADDRESS) for each in (REGISTER, INVITE)]
    assert written != [REGISTER, INVITE]
    for before, after in zip((REGISTER, INVITE), written, strict=True):
        assert syntax.check(SipMessage.parse(after)) == syntax.check(SipMessage.parse(before)) == []


@pytest.mark.parametrize("quirk", get_args(Quirk))
def test_what_is_no_sip_stays_as_it_is(quirk: Quirk) -> None:
    for other in (b"\r\n\r\n", b"", b"\x80" * 20):
        assert styled(other, (quirk,), ADDRESS) == other


@pytest.mark.parametrize("quirk", get_args(Quirk))
def test_every_habit_is_a_phone_of_its_own(quirk: Quirk) -> None:
    phone = registry.phones().get(f"quirky(quirk={quirk})").settings.apply(Setup({})).phone
    assert phone["quirks"] == (quirk,)
