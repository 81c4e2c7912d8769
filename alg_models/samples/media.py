"""Session descriptions with more in them: several streams, RTCP, ICE, hold, names, early media, odd ports."""

from __future__ import annotations

from typing import Final

from siplab.alg_models.samples import Sample, inbound, outbound, sample, wire
from siplab.alg_models.samples.basic import FAR_SDP, INCOMING, INVITE, INVITE_OK, SDP, registered
from siplab.lab.wire.sip import SipMessage


def with_body(message: bytes, body: bytes, *, content_type: bytes = b"") -> bytes:
    """A message with another body and the right Content-Length."""
    parsed = SipMessage.parse(message)
    parsed.body = body
    parsed.fit_content_length()
    if content_type:
        parsed.all(b"content-type")[0].value = content_type
    return bytes(parsed)


def without_content_length(message: bytes) -> bytes:
    """A message over UDP that leaves Content-Length out, as RFC 3261 20.14 permits."""
    parsed = SipMessage.parse(message)
    parsed.fields = [field for field in parsed.fields if field.name != b"content-length"]
    return bytes(parsed)


def in_dialog(message: bytes, cseq: bytes) -> bytes:
    """A request of Alice's call to Bob, inside its dialog."""
    return message.replace(b"To: <sip:bob@lab.test>", b"To: <sip:bob@lab.test>;tag=4").replace(
        b"CSeq: 1 INVITE", b"CSeq: " + cseq
    )


# A second stream with its own c= line, and one more for fax.
STREAMS: Final = (
    SDP.replace(b"a=sendrecv\r\n", b"")
    + b"m=audio 49172 RTP/AVP 8\r\nc=IN IP4 192.168.1.20\r\n"
    + b"m=image 49180 udptl t38\r\n"
)
# Each stream of the far side is served by a relay of its own.
RELAYS: Final = FAR_SDP.replace(b"a=sendrecv\r\n", b"") + (
    b"m=video 40002 RTP/AVP 96\r\nc=IN IP4 198.51.100.21\r\n"
)
RTCP: Final = SDP + b"a=rtcp:49171 IN IP4 192.168.1.20\r\n"
ICE: Final = SDP + b"a=candidate:1 1 UDP 2130706431 192.168.1.20 49170 typ host\r\n"
NAMED_ORIGIN: Final = SDP.replace(b"o=alice 1 1 IN IP4 192.168.1.20", b"o=- 1 1 IN IP4 pc.example.org")
NAMED_CONNECTION: Final = SDP.replace(b"c=IN IP4 192.168.1.20", b"c=IN IP4 pc.example.org")
REFUSED: Final = SDP.replace(b"m=audio 49170", b"m=audio 0")
REFUSED_VIDEO: Final = SDP + b"m=video 0 RTP/AVP 96\r\n"
HOLD: Final = SDP.replace(b"c=IN IP4 192.168.1.20", b"c=IN IP4 0.0.0.0")
ODD: Final = SDP.replace(b"m=audio 49170", b"m=audio 49171")
HELD: Final = SDP.replace(b"a=sendrecv", b"a=sendonly")

MULTIPART: Final = (
    wire(b"""\
--cut
Content-Type: application/sdp

""")
    + SDP
    + wire(b"""
--cut
Content-Type: text/plain

hello
--cut--
""")
)

MULTIPART_INVITE: Final = with_body(INVITE, MULTIPART, content_type=b"multipart/mixed;boundary=cut")

# Alice's phone calls without an offer: the far side offers in its answer, the phone answers later.
EMPTY_INVITE: Final = with_body(INVITE, b"").replace(b"Content-Type: application/sdp\r\n", b"")
EARLY: Final = INVITE_OK.replace(b"SIP/2.0 200 OK", b"SIP/2.0 183 Session Progress")
ACK: Final = in_dialog(INVITE, b"1 ACK").replace(
    b"INVITE sip:bob@lab.test", b"ACK sip:bob@198.51.100.20:5060"
)
RELIABLE: Final = EARLY.replace(b"CSeq: 1", b"Require: 100rel\r\nRSeq: 1\r\nCSeq: 1")
PRACK: Final = in_dialog(INVITE, b"2 PRACK\r\nRAck: 1 1 INVITE").replace(
    b"INVITE sip:bob@lab.test", b"PRACK sip:bob@198.51.100.20:5060"
)
UPDATE: Final = in_dialog(INVITE, b"2 UPDATE").replace(
    b"INVITE sip:bob@lab.test", b"UPDATE sip:bob@198.51.100.20:5060"
)
REINVITE: Final = in_dialog(INVITE, b"2 INVITE").replace(
    b"INVITE sip:bob@lab.test", b"INVITE sip:bob@198.51.100.20:5060"
)
# Alice's phone plays an announcement before it rings.
PHONE_EARLY: Final = (
    wire(b"""\
SIP/2.0 183 Session Progress
Via: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bK76
From: <sip:bob@lab.test>;tag=5
To: <sip:alice@lab.test>;tag=6
Call-ID: c06d6e98@198.51.100.20
CSeq: 1 INVITE
Contact: <sip:alice@192.168.1.20:5060>
Content-Type: application/sdp
Content-Length: %d

""")
    % len(SDP)
    + SDP
)

_call: Final = sample(outbound(INVITE), inbound(INVITE_OK, 0.1))
_late: Final = sample(outbound(EMPTY_INVITE), inbound(INVITE_OK, 0.1))


def _invite(body: bytes) -> Sample:
    return sample(outbound(with_body(INVITE, body)))


SAMPLES: Final[dict[str, Sample]] = {
    "media-streams": _invite(STREAMS),
    "media-relays": sample(outbound(INVITE), inbound(with_body(INVITE_OK, RELAYS), 0.1)),
    "media-rtcp": _invite(RTCP),
    "media-ice": _invite(ICE),
    "media-named-origin": _invite(NAMED_ORIGIN),
    "media-named-connection": _invite(NAMED_CONNECTION),
    "media-refused": _invite(REFUSED),
    "media-refused-video": _invite(REFUSED_VIDEO),
    "media-hold-zero": sample(_call, outbound(with_body(REINVITE, HOLD), 5.0)),
    "media-hold": sample(_call, outbound(with_body(REINVITE, HELD), 5.0)),
    "media-resume": sample(
        _call,
        outbound(with_body(REINVITE, HELD), 5.0),
        outbound(REINVITE.replace(b"CSeq: 2", b"CSeq: 3"), 20.0),
    ),
    "media-odd": _invite(ODD),
    "media-multipart": sample(outbound(MULTIPART_INVITE)),
    "media-no-length": sample(outbound(without_content_length(INVITE))),
    "media-reinvite": sample(_call, outbound(REINVITE, 5.0)),
    "media-next-version": sample(
        _call, outbound(with_body(REINVITE, SDP.replace(b"alice 1 1", b"alice 1 2")), 5.0)
    ),
    "media-ack": sample(_late, outbound(ACK, 0.2)),
    "media-prack": sample(outbound(EMPTY_INVITE), inbound(RELIABLE, 0.1), outbound(PRACK, 0.2)),
    "media-update": sample(_call, outbound(UPDATE, 5.0)),
    "media-early": sample(registered, inbound(INCOMING, 1.0), outbound(PHONE_EARLY, 1.1)),
}
