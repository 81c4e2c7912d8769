"""What happens over time: registrations, calls that end, silence, and strangers at an open port."""

from __future__ import annotations

from typing import Final

from siplab.alg_models.samples import (
    PUBLIC,
    REGISTRAR,
    RELAY,
    SECOND_PHONE,
    Packet,
    Sample,
    inbound,
    outbound,
    sample,
    wire,
)
from siplab.alg_models.samples.basic import INCOMING, INVITE, INVITE_OK, REGISTER, registered
from siplab.lab.gateway.sides import Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint

STRANGER: Final = Endpoint("198.51.100.66", 4444)
ATTACKER: Final = Endpoint("198.51.100.66", 5060)  # a web server at the port of SIP
BROWSER: Final = Endpoint("192.168.1.20", 50000)
RTP_PORT: Final = Endpoint("192.168.1.20", 49170)
PUBLIC_RTP: Final = Endpoint(PUBLIC.ip, 61004)
RTP: Final = b"\x80\x00" + bytes(10) + b"speech"
CRLF: Final = b"\r\n\r\n"
STUN: Final = b"\x00\x01\x00\x00\x21\x12\xa4\x42" + b"transaction."  # a Binding request (RFC 8489)

OPTIONS: Final = wire(b"""\
OPTIONS sip:lab.test SIP/2.0
Via: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK80
Max-Forwards: 70
From: <sip:alice@lab.test>;tag=8
To: <sip:lab.test>
Call-ID: d17e7fa9@192.168.1.20
CSeq: 1 OPTIONS
Content-Length: 0

""")

# The registrar asks whether Alice's phone is alive.
OPTIONS_IN: Final = wire(b"""\
OPTIONS sip:alice@203.0.113.7:61002 SIP/2.0
Via: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bK81
Max-Forwards: 70
From: <sip:monitor@lab.test>;tag=9
To: <sip:alice@lab.test>
Call-ID: e28f80ba@198.51.100.10
CSeq: 1 OPTIONS
Content-Length: 0

""")

CHALLENGE: Final = wire(b"""\
SIP/2.0 401 Unauthorized
Via: SIP/2.0/UDP 203.0.113.7:61002;rport=61002;branch=z9hG4bK82;received=203.0.113.7
From: <sip:alice@lab.test>;tag=1
To: <sip:alice@lab.test>;tag=2
Call-ID: a84b4c76@192.168.1.20
CSeq: 2 REGISTER
WWW-Authenticate: Digest realm="lab.test", nonce="c1"
Content-Length: 0

""")

# Alice removes all of her registrations (RFC 3261 section 10.2.2).
REGISTER_STAR: Final = wire(b"""\
REGISTER sip:lab.test SIP/2.0
Via: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK83
Max-Forwards: 70
From: <sip:alice@lab.test>;tag=1
To: <sip:alice@lab.test>
Call-ID: a84b4c76@192.168.1.20
CSeq: 2 REGISTER
Contact: *
Expires: 0
Content-Length: 0

""")

REGISTER_STAR_OK: Final = wire(b"""\
SIP/2.0 200 OK
Via: SIP/2.0/UDP 203.0.113.7:61002;rport=61002;branch=z9hG4bK83;received=203.0.113.7
From: <sip:alice@lab.test>;tag=1
To: <sip:alice@lab.test>;tag=2
Call-ID: a84b4c76@192.168.1.20
CSeq: 2 REGISTER
Content-Length: 0

""")

# The second phone of the home registers.
REGISTER_CAROL: Final = (
    REGISTER.replace(b"alice", b"carol").replace(b"192.168.1.20", b"192.168.1.21").replace(b"K74", b"K84")
)

ACK: Final = wire(b"""\
ACK sip:bob@198.51.100.20:5060 SIP/2.0
Via: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK85
Max-Forwards: 70
From: <sip:alice@lab.test>;tag=3
To: <sip:bob@lab.test>;tag=4
Call-ID: b95c5d87@192.168.1.20
CSeq: 1 ACK
Content-Length: 0

""")

BYE: Final = ACK.replace(b"ACK sip", b"BYE sip").replace(b"1 ACK", b"2 BYE").replace(b"K85", b"K86")

BYE_OK: Final = wire(b"""\
SIP/2.0 200 OK
Via: SIP/2.0/UDP 203.0.113.7:61002;rport=61002;branch=z9hG4bK86;received=203.0.113.7
From: <sip:alice@lab.test>;tag=3
To: <sip:bob@lab.test>;tag=4
Call-ID: b95c5d87@192.168.1.20
CSeq: 2 BYE
Content-Length: 0

""")

# Alice's phone refreshes the session (RFC 4028).
UPDATE: Final = wire(b"""\
UPDATE sip:bob@198.51.100.20:5060 SIP/2.0
Via: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK87
Max-Forwards: 70
From: <sip:alice@lab.test>;tag=3
To: <sip:bob@lab.test>;tag=4
Call-ID: b95c5d87@192.168.1.20
CSeq: 2 UPDATE
Contact: <sip:alice@192.168.1.20:5060>
Session-Expires: 1800;refresher=uac
Supported: timer
Content-Length: 0

""")

# A web page makes a browser post this text, so that a TCP segment begins with it ("NAT slipstreaming").
POSTED_REGISTER: Final = wire(b"""\
REGISTER sip:lab.test SIP/2.0
Via: SIP/2.0/TCP 192.168.1.20:5060;branch=z9hG4bK88
Max-Forwards: 70
From: <sip:a@lab.test>;tag=7
To: <sip:a@lab.test>
Call-ID: f39091cb
CSeq: 1 REGISTER
Contact: <sip:a@192.168.1.20:22;transport=TCP>
Expires: 3600
Content-Length: 0

""")
POST: Final = wire(b"""\
POST / HTTP/1.1
Host: 198.51.100.66:5060
Content-Type: multipart/form-data; boundary=b
Content-Length: 5000

--b
""")


# Another phone's call with the same Call-ID as Alice's.
SAME_CALL_ID: Final = INVITE.replace(b"192.168.1.20", b"192.168.1.21")
STUN_ANSWER: Final = (
    b"\x01\x01\x00\x0c\x21\x12\xa4\x42" + bytes(12)
    + b"\x00\x01\x00\x08\x00\x01\xee\x4a\xcb\x00\x71\x07"
)  # fmt: skip


def segment(
    source: Endpoint, target: Endpoint, payload: bytes, *, seq: int, ack: int = 501, flags: int = ip.ACK
) -> Packet:
    """A TCP segment; the side is that of the source."""
    side = Side.INSIDE if source.ip.startswith("192.168.") else Side.OUTSIDE
    return Packet(0.0, side, ip.tcp(source, target, payload, seq=seq, ack=ack, flags=flags))


def call(*rest: Packet) -> Sample:
    """Alice calls Bob, who answers; then ``rest``."""
    return sample(outbound(INVITE), inbound(INVITE_OK, 0.1), outbound(ACK, 0.2), *rest)


posted: Final = sample(
    segment(BROWSER, ATTACKER, b"", seq=100, ack=0, flags=ip.SYN),
    segment(ATTACKER, PUBLIC, b"", seq=500, ack=101, flags=ip.SYN | ip.ACK),
    segment(BROWSER, ATTACKER, b"", seq=101),
    segment(BROWSER, ATTACKER, POST, seq=101),
    segment(BROWSER, ATTACKER, POSTED_REGISTER, seq=101 + len(POST)),
)

SAMPLES: Final[dict[str, Sample]] = {
    "state-invite-after-70s": sample(registered, inbound(INCOMING, 70.0)),
    "state-invite-after-310s": sample(registered, inbound(INCOMING, 310.0)),
    "state-keepalive": sample(outbound(REGISTER), outbound(CRLF, 20.0)),
    "state-stun-keepalive": sample(outbound(REGISTER), outbound(STUN, 20.0)),
    "state-options": sample(outbound(OPTIONS)),
    "state-options-in": sample(registered, inbound(OPTIONS_IN, 1.0)),
    "state-register-at-5080": sample(outbound(REGISTER, target=REGISTRAR._replace(port=5080))),
    "state-second-phone": sample(
        registered, outbound(REGISTER_CAROL, 1.0, source=SECOND_PHONE), inbound(INCOMING, 2.0)
    ),
    "state-invite-after-register": sample(outbound(REGISTER), outbound(INVITE, 1.0)),
    "state-stranger-after-bye": call(
        outbound(BYE, 10.0), inbound(BYE_OK, 10.1), inbound(RTP, 20.0, source=STRANGER, target=PUBLIC_RTP)
    ),
    "state-posted-register": posted,
    "state-stranger-at-ssh": sample(
        posted,
        segment(STRANGER, PUBLIC_RTP, b"SSH-2.0-stranger\r\n", seq=1),
    ),
    "state-invite-during-challenge": sample(
        registered,
        outbound(REGISTER.replace(b"1 REGISTER", b"2 REGISTER").replace(b"K74", b"K82"), 200.0),
        inbound(CHALLENGE, 200.1),
        inbound(INCOMING, 200.2, source=REGISTRAR._replace(port=5070)),
    ),
    "state-invite-after-star": sample(
        registered, outbound(REGISTER_STAR, 10.0), inbound(REGISTER_STAR_OK, 10.1), inbound(INCOMING, 400.0)
    ),
    "state-rtp-after-silence": call(inbound(RTP, 1.0, source=RELAY, target=PUBLIC_RTP), inbound(
        RTP, 302.0, source=RELAY, target=PUBLIC_RTP
    )),
    "state-update-after-1h": call(outbound(UPDATE, 3600.0)),
    "state-update-after-13h": call(outbound(UPDATE, 46800.0)),
    "state-ack": call(),
    "state-stun-answer": sample(outbound(REGISTER), inbound(STUN_ANSWER, 1.0)),
    "state-same-call-id": sample(
        outbound(INVITE), outbound(SAME_CALL_ID, 1.0, source=SECOND_PHONE)
    ),
    "state-fourth-call": sample(
        outbound(REGISTER),
        outbound(INVITE, 1.0),
        outbound(OPTIONS, 2.0),
        outbound(REGISTER_CAROL, 3.0, source=SECOND_PHONE),
    ),
    "state-invite-after-5h": sample(
        registered,
        *(outbound(REGISTER, 200.0 * each) for each in range(1, 90)),
        inbound(INCOMING, 18000.0),
    ),
    "state-register-renewed": Sample((outbound(REGISTER), outbound(REGISTER, 20.0)), before_last="renewed"),
    "state-register-restarted": Sample(
        (outbound(REGISTER), outbound(REGISTER, 20.0)), before_last="restarted"
    ),
    "routed-register": Sample((outbound(REGISTER),), routed=True),
    "routed-invite": Sample((outbound(INVITE),), routed=True),
    "state-register-again-later": sample(outbound(REGISTER), outbound(REGISTER, 400.0)),
    # The second phone's ACK to the public endpoint of the first.
    "state-hairpin-ack": sample(
        outbound(REGISTER),
        outbound(
            ACK.replace(b"bob@198.51.100.20:5060", b"alice@203.0.113.7:61002"),
            0.1,
            source=SECOND_PHONE,
            target=PUBLIC,
        ),
    ),
    "state-hairpin-rtp": sample(
        outbound(RTP, source=RTP_PORT, target=RELAY),
        outbound(RTP, 0.1, source=SECOND_PHONE._replace(port=49170), target=PUBLIC),
    ),
}  # fmt: skip
