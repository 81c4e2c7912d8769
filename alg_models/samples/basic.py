"""Registration and call of Alice's phone: the messages that most examples are about."""

from __future__ import annotations

from typing import Final

from siplab.alg_models.samples import Sample, inbound, outbound, sample, wire

SDP: Final = wire(b"""\
v=0
o=alice 1 1 IN IP4 192.168.1.20
s=-
c=IN IP4 192.168.1.20
t=0 0
m=audio 49170 RTP/AVP 0
a=sendrecv
""")

FAR_SDP: Final = wire(b"""\
v=0
o=bob 2 1 IN IP4 198.51.100.20
s=-
c=IN IP4 198.51.100.20
t=0 0
m=audio 40000 RTP/AVP 0
a=sendrecv
""")

REGISTER: Final = wire(b"""\
REGISTER sip:lab.test SIP/2.0
Via: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK74
Max-Forwards: 70
From: <sip:alice@lab.test>;tag=1
To: <sip:alice@lab.test>
Call-ID: a84b4c76@192.168.1.20
CSeq: 1 REGISTER
Contact: <sip:alice@192.168.1.20:5060>
Expires: 3600
Content-Length: 0

""")

REGISTER_OK: Final = wire(b"""\
SIP/2.0 200 OK
Via: SIP/2.0/UDP 203.0.113.7:61002;rport=61002;branch=z9hG4bK74;received=203.0.113.7
From: <sip:alice@lab.test>;tag=1
To: <sip:alice@lab.test>;tag=2
Call-ID: a84b4c76@192.168.1.20
CSeq: 1 REGISTER
Contact: <sip:alice@203.0.113.7:61002>;expires=3600
Content-Length: 0

""")

INVITE: Final = (
    wire(b"""\
INVITE sip:bob@lab.test SIP/2.0
Via: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK75
Max-Forwards: 70
From: <sip:alice@lab.test>;tag=3
To: <sip:bob@lab.test>
Call-ID: b95c5d87@192.168.1.20
CSeq: 1 INVITE
Contact: <sip:alice@192.168.1.20:5060>
Content-Type: application/sdp
Content-Length: %d

""")
    % len(SDP)
    + SDP
)

# Bob's answer to Alice's call.
INVITE_OK: Final = (
    wire(b"""\
SIP/2.0 200 OK
Via: SIP/2.0/UDP 203.0.113.7:61002;rport=61002;branch=z9hG4bK75;received=203.0.113.7
From: <sip:alice@lab.test>;tag=3
To: <sip:bob@lab.test>;tag=4
Call-ID: b95c5d87@192.168.1.20
CSeq: 1 INVITE
Contact: <sip:bob@198.51.100.20:5060>
Content-Type: application/sdp
Content-Length: %d

""")
    % len(FAR_SDP)
    + FAR_SDP
)

# Bob calls Alice at the address that she registered.
INCOMING: Final = (
    wire(b"""\
INVITE sip:alice@203.0.113.7:61002 SIP/2.0
Via: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bK76
Max-Forwards: 69
From: <sip:bob@lab.test>;tag=5
To: <sip:alice@lab.test>
Call-ID: c06d6e98@198.51.100.20
CSeq: 1 INVITE
Contact: <sip:bob@198.51.100.20:5060>
Content-Type: application/sdp
Content-Length: %d

""")
    % len(FAR_SDP)
    + FAR_SDP
)

# Alice picks up.
INCOMING_OK: Final = (
    wire(b"""\
SIP/2.0 200 OK
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

registered: Final = sample(outbound(REGISTER), inbound(REGISTER_OK, 0.1))

SAMPLES: Final[dict[str, Sample]] = {
    "register": sample(outbound(REGISTER)),
    "register-ok": registered,
    "invite": sample(outbound(INVITE)),
    "invite-ok": sample(outbound(INVITE), inbound(INVITE_OK, 0.1)),
    "incoming-invite": sample(registered, inbound(INCOMING, 1.0)),
    "incoming-ok": sample(registered, inbound(INCOMING, 1.0), outbound(INCOMING_OK, 2.0)),
}
