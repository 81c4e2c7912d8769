"""SDP offers and answers, and RTP packets."""

from __future__ import annotations

import random

import pytest

from siplab.lab.media.rtp_sender import RtpSender
from siplab.lab.media.session import MediaError, Session, read
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.rtp import RtpHeader, pack_rtp, unpack_rtp

LOCAL = Endpoint("192.168.1.20", 40000)


def session(user: str = "alice", local: Endpoint = LOCAL) -> Session:
    return Session(user, local.ip, {"audio": local.port}, 7)


OFFER = session().offer()


def test_an_offer_reads_back() -> None:
    (audio,) = read(OFFER).streams
    assert audio.remote == LOCAL
    assert audio.telephone_event == 101


def test_an_answer_keeps_the_order_and_refuses_what_is_not_audio() -> None:
    offer = OFFER.replace(b"101", b"96").replace(
        b"m=audio", b"m=video 5000 RTP/AVP 34\r\nm=audio 0 RTP/AVP 0\r\nm=audio"
    )
    answer = session("bob", Endpoint("192.0.2.66", 40010)).answer(offer)
    lines = [line for line in answer.split(b"\r\n") if line.startswith(b"m=")]
    assert lines == [b"m=video 0 RTP/AVP 34", b"m=audio 0 RTP/AVP 0", b"m=audio 40010 RTP/AVP 0 96"]
    assert read(answer).streams[0].remote == ("192.0.2.66", 40010)


def test_an_answer_offers_no_telephone_event_of_its_own() -> None:
    offer = OFFER.replace(b"a=rtpmap:101 telephone-event/8000\r\n", b"").replace(b" 0 101", b" 0")
    assert b"telephone-event" not in session("bob").answer(offer)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b"c=IN IP4 192.168.1.20", b"c=IN IP4 192.168.1.20.5", "192.168.1.20.5"),
        (b"c=IN IP4 192.168.1.20", b"c=IN IP4 phone.lan", "phone.lan"),
        (b"c=IN IP4 192.168.1.20", b"c=IN", "address"),
        (b"c=IN IP4 192.168.1.20\r\n", b"", "address"),
        (b"m=audio 40000", b"m=audio 70002", "70002"),
        (b"m=audio 40000", b"m=audio x", "port"),
        (b"m=audio 40000", b"m=audio 0", "port other than 0"),
        (b"m=audio 40000 RTP/AVP 0", b"m=audio 40000 RTP/AVP 8", "PCMU"),
        (b"m=audio", b"m=image", "no RTP audio"),
    ],
)
def test_what_can_not_be_sent_to_is_an_error(old: bytes, new: bytes, why: str) -> None:
    assert old in OFFER
    with pytest.raises(MediaError, match=why):
        read(OFFER.replace(old, new))


def test_media_level_connection_wins_and_hold_sends_nowhere() -> None:
    own = OFFER.replace(b"a=ptime", b"c=IN IP4 203.0.113.9\r\na=ptime")
    assert read(own).streams[0].remote == ("203.0.113.9", 40000)
    assert read(OFFER.replace(b"c=IN IP4 192.168.1.20", b"c=IN IP4 0.0.0.0")).streams[0].remote is None


def test_rtp_packs_as_in_rfc_3550() -> None:
    wire = pack_rtp(RtpHeader(0, True, 0x1234, 0xA0, 0xDEADBEEF), b"\xff")
    assert wire == bytes.fromhex("80801234000000a0deadbeefff")
    assert unpack_rtp(wire) == RtpHeader(0, True, 0x1234, 0xA0, 0xDEADBEEF)


@pytest.mark.parametrize("junk", [b"", b"\x80" * 11, b"\x40" + bytes(20), bytes([0x80, 200]) + bytes(20)])
def test_what_is_no_rtp(junk: bytes) -> None:
    assert unpack_rtp(junk) is None


def test_a_stream_counts_on_and_wraps() -> None:
    class Full(random.Random):
        def getrandbits(self, k: int, /) -> int:
            return (1 << k) - 1

    sender = RtpSender("audio", LOCAL, Full())
    sender.direct(Endpoint("192.0.2.66", 40000), 0.0)
    first, second = (unpack_rtp(sender.take()) for _ in range(2))
    assert first == RtpHeader(0, True, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    assert second == RtpHeader(0, False, 0, 159, 0xFFFFFFFF)
    assert len(sender.take()) == 12 + 160
    assert sender.next_due == pytest.approx(0.06)
