"""A router that only routes: nothing is translated, strangers are kept out, and an ALG may still look."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from siplab.alg_models import catalogue
from siplab.lab.gateway.fate import Fate
from siplab.lab.gateway.sides import Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint

if TYPE_CHECKING:
    from tests.lab.gateway.conftest import RouterMaker

PHONE, SERVER = Endpoint("192.168.1.20", 5060), Endpoint("198.51.100.10", 5060)
SDP = (
    b"v=0\r\no=- 1 1 IN IP4 192.168.1.20\r\ns=-\r\nc=IN IP4 192.168.1.20\r\nt=0 0\r\n"
    b"m=audio 49170 RTP/AVP 0\r\n"
)
INVITE = (
    b"INVITE sip:bob@lab.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.20:5060;branch=z9hG4bK1;rport\r\n"
    b"From: <sip:a@lab.test>;tag=1\r\nTo: <sip:bob@lab.test>\r\nCall-ID: 1@192.168.1.20\r\nCSeq: 1 INVITE\r\n"
    b"Contact: <sip:a@192.168.1.20:5060>\r\nContent-Type: application/sdp\r\n"
    b"Content-Length: %d\r\n\r\n" % len(SDP)
) + SDP
MODELS = catalogue.load(plugins=False)


@pytest.mark.parametrize("spec", ["none", "correct", "linux", "broadcom", "sbc-like", "linux-gen1"])
def test_an_alg_has_nothing_to_do_there(new_router: RouterMaker, spec: str) -> None:
    office = new_router(MODELS.get(spec), translates=False)
    sent = office.send(PHONE, SERVER, INVITE)
    assert (sent.source, sent.payload) == (PHONE, INVITE)


def test_one_acts_all_the_same(new_router: RouterMaker) -> None:
    office = new_router(MODELS.get("acts-without-nat"), translates=False)
    sent = office.send(PHONE, SERVER, INVITE)
    assert sent.source == PHONE
    assert b"Contact: <sip:a@203.0.113.7:5060>" in sent.payload
    assert b"\r\nc=IN IP4 203.0.113.7\r\n" in sent.payload
    assert b"Via: SIP/2.0/UDP 192.168.1.20:5060" in sent.payload
    length = len(sent.payload.partition(b"\r\n\r\n")[2])
    assert b"Content-Length: %d\r\n" % length in sent.payload


def test_strangers_are_kept_out(new_router: RouterMaker) -> None:
    office = new_router(MODELS.get("none"), translates=False)
    answer = ip.udp(SERVER, PHONE, b"in")
    assert office.end(answer, Side.OUTSIDE)[0] is Fate.FILTERED
    office.send(PHONE, SERVER)
    assert office.crossed(answer, Side.OUTSIDE).destination == PHONE
    office.now = 10_000.0
    assert office.end(answer, Side.OUTSIDE)[0] is Fate.FILTERED
