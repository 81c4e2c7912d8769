"""The probe pack's own conversations. They separate models that do the same in samples and cases.

Each is a list of messages of ``siplab.alg_models.samples``, slightly changed. Those with long silences use
inside ports of their own, so that nothing else keeps their bindings alive.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from siplab.alg_models.samples import PHONE, PUBLIC, REGISTRAR, RELAY, SECOND_PHONE, Packet, inbound, outbound
from siplab.alg_models.samples.basic import INCOMING, INCOMING_OK, INVITE, INVITE_OK, REGISTER, REGISTER_OK
from siplab.alg_models.samples.headers import PBX, PBX_REGISTER
from siplab.alg_models.samples.state import (
    ACK,
    BYE,
    CHALLENGE,
    OPTIONS,
    OPTIONS_IN,
    REGISTER_CAROL,
    REGISTER_STAR,
    REGISTER_STAR_OK,
    RTP,
)
from siplab.alg_models.samples.transport import (
    CONNECTED,
    TCP_REGISTER,
    tcp_inbound,
    tcp_outbound,
)
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.open_loop import Conversation, Step

SHORT: Final = 40.0  # seconds: longer than the shortest lifetime seen of a binding, shorter than the next one
MIDDLE: Final = 65.0
LONG: Final = 185.0

_MEDIA: Final = Endpoint(PHONE.ip, 49170)
_MEDIA_PUBLIC: Final = PUBLIC._replace(port=PUBLIC.port + 2)
_OTHER_SERVER_PORT: Final = REGISTRAR._replace(port=5072)
_OTHER_PORT: Final = 5062  # the phone's second port

# Bob's requests in the calls of ``basic``.
ACK_IN: Final = (
    b"ACK sip:alice@203.0.113.7:61002 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bK90\r\nMax-Forwards: 69\r\n"
    b"From: <sip:bob@lab.test>;tag=5\r\nTo: <sip:alice@lab.test>;tag=6\r\n"
    b"Call-ID: c06d6e98@198.51.100.20\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n"
)
BYE_IN: Final = (
    b"BYE sip:alice@203.0.113.7:61002 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bK91\r\nMax-Forwards: 69\r\n"
    b"From: <sip:bob@lab.test>;tag=4\r\nTo: <sip:alice@lab.test>;tag=3\r\n"
    b"Call-ID: b95c5d87@192.168.1.20\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n"
)


def _public_call_id(message: bytes) -> bytes:
    return message.replace(b"b95c5d87@192.168.1.20", b"b95c5d87@203.0.113.7")


def _at_port(message: bytes, port: int) -> bytes:
    """The message, sent by a phone at another local port."""
    return message.replace(b"192.168.1.20:5060", b"192.168.1.20:%d" % port)


def _conversation(name: str, *packets: Packet, port: int = PHONE.port) -> Conversation:
    ports = {PUBLIC.port: PHONE._replace(port=port), _MEDIA_PUBLIC.port: _MEDIA}
    return Conversation(name, tuple(Step(*each) for each in packets), ports)


def _silent(seconds: float, port: int) -> Conversation:
    """A binding, a silence, then an inbound request. No ALG helps: the server's port is not 5060."""
    phone, server = PHONE._replace(port=port), REGISTRAR._replace(port=6060)
    return _conversation(
        f"silence-{seconds:g}",
        outbound(_at_port(OPTIONS, port), source=phone, target=server),
        inbound(OPTIONS_IN, seconds, source=server),
        port=port,
    )


def _silent_sip(seconds: float, port: int) -> Conversation:
    """A registration, a silence, then calls from the proxy: from its port and from another one."""
    phone = PHONE._replace(port=port)
    return _conversation(
        f"registered-silence-{seconds:g}",
        outbound(_at_port(REGISTER, port), source=phone),
        inbound(REGISTER_OK, 0.02),
        inbound(INCOMING, seconds),
        inbound(INCOMING.replace(b"K76", b"K77"), seconds + 0.02, source=_OTHER_SERVER_PORT),
        port=port,
    )


def _silent_call(seconds: float, port: int) -> Conversation:
    """A call, a silence without media, then media and a BYE."""
    phone = PHONE._replace(port=port)
    return _conversation(
        f"call-silence-{seconds:g}",
        outbound(_at_port(INVITE, port), source=phone),
        inbound(INVITE_OK, 0.02),
        outbound(_at_port(ACK, port), 0.04, source=phone),
        inbound(RTP, 0.06, source=RELAY, target=_MEDIA_PUBLIC),
        inbound(RTP, seconds, source=RELAY, target=_MEDIA_PUBLIC),
        outbound(_at_port(BYE, port), seconds + 0.02, source=phone),
        port=port,
    )


def all_conversations() -> Iterator[Conversation]:
    """All conversations, those with silences last."""
    yield _conversation(
        "call-in-with-ack",
        outbound(REGISTER),
        inbound(REGISTER_OK, 0.1),
        inbound(INCOMING, 0.2),
        outbound(INCOMING_OK, 0.3),
        inbound(ACK_IN, 0.4),
    )
    yield _conversation(
        "call-id-public",
        outbound(INVITE),
        inbound(_public_call_id(INVITE_OK), 0.1),
        outbound(ACK, 0.2),
        inbound(_public_call_id(BYE_IN), 0.3),
    )
    yield _conversation(
        "call-out-bye-in", outbound(INVITE), inbound(INVITE_OK, 0.1), outbound(ACK, 0.2), inbound(BYE_IN, 0.3)
    )
    other = PHONE._replace(port=_OTHER_PORT)
    yield _conversation(
        "other-local-port",
        outbound(REGISTER),
        outbound(_at_port(REGISTER, _OTHER_PORT), 0.1, source=other),
        inbound(REGISTER_OK, 0.2),
        inbound(INCOMING, 0.3),
        outbound(_at_port(INCOMING_OK, _OTHER_PORT), 0.4, source=other),
        port=_OTHER_PORT,
    )
    challenged = PHONE._replace(port=5066)
    again = _at_port(REGISTER, 5066).replace(b"1 REGISTER", b"2 REGISTER").replace(b"K74", b"K82")
    yield _conversation(
        "call-during-challenge",
        outbound(_at_port(REGISTER, 5066), source=challenged),
        inbound(REGISTER_OK, 0.1),
        outbound(again, 0.2, source=challenged),
        inbound(CHALLENGE, 0.3),
        inbound(INCOMING, 0.4, source=_OTHER_SERVER_PORT),
        port=5066,
    )
    yield _conversation(
        "second-phone-answer",
        outbound(REGISTER),
        outbound(REGISTER_CAROL, 0.1, source=SECOND_PHONE),
        inbound(REGISTER_OK, 0.2),
    )
    # If a router takes a longer address for the PBX's, and rewrites it, the Contact comes back like this.
    mangled = REGISTER_OK.replace(
        b"Contact: <sip:alice@203.0.113.7:61002>", b"Contact: <sip:bob@203.0.113.70:5060>"
    )
    yield Conversation(
        "short-address",
        tuple(Step(*each) for each in (outbound(PBX_REGISTER, source=PBX), inbound(mangled, 0.1))),
        {PUBLIC.port: PBX},
    )
    leaver = PHONE._replace(port=5078)
    star = _at_port(REGISTER_STAR, 5078)
    yield _conversation(
        "call-after-leaving",
        outbound(_at_port(REGISTER, 5078), source=leaver),
        inbound(REGISTER_OK, 0.1),
        outbound(star, 0.2, source=leaver),
        inbound(REGISTER_STAR_OK, 0.3),
        inbound(INCOMING, 0.4, source=_OTHER_SERVER_PORT),
        port=5078,
    )
    odd = _MEDIA._replace(port=_MEDIA.port + 1)
    yield Conversation(
        "odd-media-port",
        tuple(
            Step(*each)
            for each in (
                outbound(INVITE.replace(b"audio 49170", b"audio 49171")),
                inbound(INVITE_OK, 0.1),
                inbound(RTP, 0.2, source=RELAY, target=_MEDIA_PUBLIC),
            )
        ),
        {PUBLIC.port: PHONE, _MEDIA_PUBLIC.port: odd},
    )
    # Two endpoints behind the NAT that send to each other's public endpoints (RFC 4787 section 6).
    beside = _MEDIA._replace(port=_MEDIA.port + 2)
    yield Conversation(
        "hairpin",
        tuple(
            Step(*each)
            for each in (
                outbound(RTP, source=_MEDIA, target=RELAY),
                outbound(RTP, 0.1, source=beside, target=RELAY),
                outbound(RTP, 0.2, source=_MEDIA, target=_MEDIA_PUBLIC),
                outbound(RTP, 0.3, source=beside, target=PUBLIC),
            )
        ),
        {PUBLIC.port: _MEDIA, _MEDIA_PUBLIC.port: beside},
    )
    size = len(TCP_REGISTER)
    yield _conversation(
        "tcp-two-messages",
        *CONNECTED.packets,
        tcp_outbound(TCP_REGISTER, 0)._replace(at=0.3),
        tcp_inbound(b"\r\n", 0, size)._replace(at=0.4),
        tcp_outbound(TCP_REGISTER.replace(b"1 REGISTER", b"2 REGISTER"), size, 2)._replace(at=0.5),
    )
    yield _silent(SHORT, 5064)
    yield _silent(MIDDLE, 5068)
    yield _silent(LONG, 5070)
    yield _silent_sip(LONG, 5074)
    yield _silent_call(LONG, 5076)
