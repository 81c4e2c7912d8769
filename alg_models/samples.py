"""The sample messages that models' documented examples speak of, and the router they cross.

Alice's phone is 192.168.1.20:5060 behind a router with the public address 203.0.113.7, whose
public ports begin at 61002; the registrar is 198.51.100.10:5060. Inside and outside
addresses differ in length on purpose, or Content-Length faults would hide.
"""

from __future__ import annotations

import random
from typing import Final

from lab.gateway.alg import Model
from lab.gateway.gateway import Gateway, Side
from lab.gateway.nat import NatConfig, PortAllocation
from lab.wire import ip
from lab.wire.ip import Endpoint

PHONE: Final = Endpoint("192.168.1.20", 5060)
REGISTRAR: Final = Endpoint("198.51.100.10", 5060)
PUBLIC: Final = Endpoint("203.0.113.7", 61002)

_REGISTER: Final = b"""\
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

"""

_REGISTER_OK: Final = b"""\
SIP/2.0 200 OK
Via: SIP/2.0/UDP 203.0.113.7:61002;rport=61002;branch=z9hG4bK74;received=203.0.113.7
From: <sip:alice@lab.test>;tag=1
To: <sip:alice@lab.test>;tag=2
Call-ID: a84b4c76@192.168.1.20
CSeq: 1 REGISTER
Contact: <sip:alice@203.0.113.7:61002>;expires=3600
Content-Length: 0

"""

_SDP: Final = b"""\
v=0
o=alice 1 1 IN IP4 192.168.1.20
s=-
c=IN IP4 192.168.1.20
t=0 0
m=audio 49170 RTP/AVP 0
a=sendrecv
"""

_INVITE: Final = b"""\
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

"""


def _wire(text: bytes) -> bytes:
    return text.replace(b"\n", b"\r\n")


# name -> (side on which it enters, the message)
SAMPLES: Final[dict[str, tuple[Side, bytes]]] = {
    "register": (Side.INSIDE, _wire(_REGISTER)),
    "register-ok": (Side.OUTSIDE, _wire(_REGISTER_OK)),
    "invite": (Side.INSIDE, _wire(_INVITE % len(_wire(_SDP))) + _wire(_SDP)),
}


def cross(model: Model, sample: str) -> tuple[bytes, bytes]:
    """A sample message before and after a router with ``model``.

    A message from the outside is preceded by the REGISTER that made its binding. The second
    value is empty when the message is dropped. Raises ``KeyError`` for an unknown sample.
    """
    gateway = Gateway(
        model,
        public_ip=PUBLIC.ip,
        inside_networks=["192.168.1.0/24"],
        nat=NatConfig(port_allocation=PortAllocation.SEQUENTIAL, first_port=PUBLIC.port),
        rng=random.Random(0),
    )
    side, message = SAMPLES[sample]
    if side is Side.OUTSIDE:
        gateway.handle(ip.udp(PHONE, REGISTRAR, SAMPLES["register"][1]), Side.INSIDE, 0.0)
        packet = ip.udp(REGISTRAR, PUBLIC, message)
    else:
        packet = ip.udp(PHONE, REGISTRAR, message)
    out = [each for each in gateway.handle(packet, side, 0.1) if each.side is side.other]
    return message, ip.parse(out[0].packet).payload if out else b""
