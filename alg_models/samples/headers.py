"""Messages that show faults in single header fields: unusual registrations, a transfer, routes."""

from __future__ import annotations

from typing import Final

from siplab.alg_models.samples import PHONE, PUBLIC, REGISTRAR, Sample, inbound, outbound, sample, wire
from siplab.alg_models.samples.basic import INCOMING, INVITE, INVITE_OK, REGISTER, REGISTER_OK, SDP
from siplab.lab.wire.ip import Endpoint

# A small PBX whose address is a prefix of the phone's, and a proxy on the LAN.
PBX: Final = Endpoint("192.168.1.2", 5060)
LAN_PROXY: Final = Endpoint("192.168.1.5", 5060)
# A phone that sends from this port, and names another one in its messages.
HIGH_PORT: Final = Endpoint(PHONE.ip, 40000)

_CONTACT: Final = b"Contact: <sip:alice@192.168.1.20:5060>"
_PUBLIC_CONTACT: Final = b"Contact: <sip:alice@203.0.113.7:61002>;expires=3600"

# The PBX registers on behalf of Bob's phone (RFC 3261 10.2, third-party registration).
PBX_REGISTER: Final = wire(b"""\
REGISTER sip:lab.test SIP/2.0
Via: SIP/2.0/UDP 192.168.1.2:5060;rport;branch=z9hG4bK80
Max-Forwards: 70
From: <sip:pbx@lab.test>;tag=1
To: <sip:bob@lab.test>
Call-ID: pbx1@192.168.1.2
CSeq: 1 REGISTER
Contact: <sip:bob@192.168.1.20:5060>
Expires: 3600
Content-Length: 0

""")

# The PBX calls for Bob's phone, whose media do not cross the PBX.
PBX_INVITE: Final = (
    wire(b"""\
INVITE sip:carol@lab.test SIP/2.0
Via: SIP/2.0/UDP 192.168.1.2:5060;rport;branch=z9hG4bK81
Max-Forwards: 70
From: <sip:bob@lab.test>;tag=2
To: <sip:carol@lab.test>
Call-ID: pbx2@192.168.1.2
CSeq: 1 INVITE
Contact: <sip:bob@192.168.1.2:5060>
Content-Type: application/sdp
Content-Length: %d

""")
    % len(SDP)
    + SDP
)

CHALLENGE: Final = wire(b"""\
SIP/2.0 401 Unauthorized
Via: SIP/2.0/UDP 203.0.113.7:61002;rport=61002;branch=z9hG4bK74;received=203.0.113.7
From: <sip:alice@lab.test>;tag=1
To: <sip:alice@lab.test>;tag=2
Call-ID: a84b4c76@192.168.1.20
CSeq: 1 REGISTER
WWW-Authenticate: Digest realm="lab.test", nonce="84a4cc6f"
Content-Length: 0

""")

# The second REGISTER, with credentials, of a phone that knows its registrar by address.
SIGNED_REGISTER: Final = wire(b"""\
REGISTER sip:198.51.100.10 SIP/2.0
Via: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK82
Max-Forwards: 70
From: <sip:alice@lab.test>;tag=1
To: <sip:alice@lab.test>
Call-ID: a84b4c76@192.168.1.20
CSeq: 2 REGISTER
Contact: <sip:alice@192.168.1.20:5060>
Authorization: Digest username="alice", realm="lab.test", nonce="84a4cc6f",
 uri="sip:198.51.100.10", response="9c44b5f2b5f0d9b1d4e4b5d2c9a0f0b7"
Expires: 3600
Content-Length: 0

""")

# Alice, in a call with Bob, sends him to the second phone of her home, to replace another call there.
REFER: Final = wire(b"""\
REFER sip:bob@198.51.100.20:5060 SIP/2.0
Via: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK83
Max-Forwards: 70
From: <sip:alice@lab.test>;tag=3
To: <sip:bob@lab.test>;tag=4
Call-ID: b95c5d87@192.168.1.20
CSeq: 2 REFER
Contact: <sip:alice@192.168.1.20:5060>
Refer-To: <sip:carol@192.168.1.21:5060?Replaces=d17e@192.168.1.20%3Bto-tag%3D7%3Bfrom-tag%3D8>
Referred-By: <sip:alice@lab.test>
Content-Length: 0

""")


def _contact(message: bytes, contact: bytes) -> bytes:
    return message.replace(_CONTACT, contact)


def _above(message: bytes, header: bytes, line: bytes) -> bytes:
    """A message with one more line, above the header of that name."""
    return message.replace(b"\r\n" + header + b":", b"\r\n" + line + b"\r\n" + header + b":", 1)


PORTLESS: Final = _contact(REGISTER, b"Contact: <sip:alice@192.168.1.20>")
SEVERAL: Final = _contact(
    REGISTER,
    b"Contact: <sip:alice@192.168.1.20:5060>;q=1, <sip:alice@192.168.1.21:5060>;q=0.5\r\n"
    b"Contact: <sip:alice@192.168.1.20:5062>;q=0.1",
)
PARAMETERS: Final = _contact(
    REGISTER,
    b"Contact: <sip:alice@192.168.1.20:5060;line=x1;ob>"
    b';reg-id=1;+sip.instance="<urn:uuid:00000000-0000-1000-8000-000a95a0e128>";expires=600',
)
FROM_HIGH_PORT: Final = _contact(REGISTER, b"Contact: <sip:alice@192.168.1.20:40000>")
# The registrar answers to the source, as rport asks. The port in Via has a binding of its own.
HIGH_PORT_OK: Final = REGISTER_OK.replace(b"UDP 203.0.113.7:61002", b"UDP 203.0.113.7:61004")
SHORT_LIVED_OK: Final = REGISTER_OK.replace(
    _PUBLIC_CONTACT, b"Contact: <sip:alice@203.0.113.7:61002>;expires=120"
)
ADDRESS_INVITE: Final = INVITE.replace(b"From: <sip:alice@lab.test>", b"From: <sip:alice@192.168.1.20>")
ADDRESS_OK: Final = INVITE_OK.replace(b"From: <sip:alice@lab.test>", b"From: <sip:alice@203.0.113.7:61002>")
LAST_HOP: Final = REGISTER.replace(b"Max-Forwards: 70", b"Max-Forwards: 0")
VIA_PROXY: Final = _above(
    INVITE.replace(b"Max-Forwards: 70", b"Max-Forwards: 69").replace(
        b"Via: SIP/2.0/UDP 192.168.1.20:5060;rport;",
        b"Via: SIP/2.0/UDP 192.168.1.5:5060;rport;branch=z9hG4bK84\r\n"
        b"Via: SIP/2.0/UDP 192.168.1.20:5060;rport=5060;received=192.168.1.20;",
    ),
    b"Contact",
    b"Record-Route: <sip:192.168.1.5;lr>",
)
ROUTED_OK: Final = _above(INVITE_OK, b"Contact", b"Record-Route: <sip:198.51.100.10;lr>")
ASSERTED: Final = _above(INCOMING, b"Contact", b'P-Asserted-Identity: "Bob" <sip:+15550100@lab.test>')

SAMPLES: Final[dict[str, Sample]] = {
    "headers-pbx-register": sample(outbound(PBX_REGISTER, source=PBX)),
    "headers-pbx-invite": sample(outbound(PBX_INVITE, source=PBX)),
    "headers-challenge": sample(outbound(REGISTER), inbound(CHALLENGE, 0.1)),
    "headers-signed-register": sample(outbound(SIGNED_REGISTER)),
    "headers-last-hop": sample(outbound(LAST_HOP)),
    "headers-contact-portless": sample(outbound(PORTLESS)),
    "headers-contact-portless-ok": sample(outbound(PORTLESS), inbound(REGISTER_OK, 0.1)),
    "headers-contact-several": sample(outbound(SEVERAL)),
    "headers-contact-parameters": sample(outbound(PARAMETERS)),
    "headers-high-port-ok": sample(
        outbound(FROM_HIGH_PORT, source=HIGH_PORT), inbound(HIGH_PORT_OK, 0.1, target=PUBLIC)
    ),
    "headers-short-lived-ok": sample(outbound(REGISTER), inbound(SHORT_LIVED_OK, 0.1)),
    "headers-address-invite": sample(outbound(ADDRESS_INVITE)),
    "headers-address-ok": sample(outbound(ADDRESS_INVITE), inbound(ADDRESS_OK, 0.1)),
    "headers-lan-proxy-invite": sample(outbound(VIA_PROXY, source=LAN_PROXY, target=REGISTRAR)),
    "headers-routed-ok": sample(outbound(INVITE), inbound(ROUTED_OK, 0.1)),
    "headers-refer": sample(outbound(INVITE), inbound(INVITE_OK, 0.1), outbound(REFER, 2.0)),
    "headers-asserted": sample(outbound(REGISTER), inbound(REGISTER_OK, 0.1), inbound(ASSERTED, 1.0)),
}
