"""Unusual but legal spellings, and the transport of messages: fragments, large datagrams, TCP."""

from __future__ import annotations

from typing import Final

from siplab.alg_models.samples import PHONE, PUBLIC, REGISTRAR, Packet, Sample, outbound, sample, wire
from siplab.alg_models.samples.basic import INVITE, REGISTER, SDP
from siplab.lab.gateway.gateway import Side
from siplab.lab.wire import ip
from siplab.lab.wire.fragments import fragmented
from siplab.lab.wire.ip import ACK, PSH, SYN, Endpoint

CONTACT: Final = b"Contact: <sip:alice@192.168.1.20:5060>\r\n"
VIA: Final = b"Via: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK74\r\n"
SEQ, ACKED = 1000, 77000


def registering(contact: bytes = CONTACT, via: bytes = VIA) -> bytes:
    """The REGISTER of ``basic`` with another Contact or Via."""
    return REGISTER.replace(CONTACT, contact).replace(VIA, via)


COMPACT: Final = (
    wire(b"""\
INVITE sip:bob@lab.test SIP/2.0
v: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK75
Max-Forwards: 70
f: <sip:alice@lab.test>;tag=3
t: <sip:bob@lab.test>
i: b95c5d87@192.168.1.20
CSeq: 1 INVITE
m: <sip:alice@192.168.1.20:5060>
c: application/sdp
l: %d

""")
    % len(SDP)
    + SDP
)

SUBSCRIBE: Final = wire(b"""\
SUBSCRIBE sip:alice@lab.test SIP/2.0
Via: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK77
Max-Forwards: 70
From: <sip:alice@lab.test>;tag=7
To: <sip:alice@lab.test>
Call-ID: d17e7fa9@192.168.1.20
CSeq: 1 SUBSCRIBE
Contact: <sip:alice@192.168.1.20:5060>
Event: message-summary
Expires: 3600
Content-Length: 0

""")

# Via and Contact without a port: both grow by six bytes when they get one.
PORTLESS: Final = INVITE.replace(b"192.168.1.20:5060", b"192.168.1.20")


def padded(message: bytes, size: int) -> bytes:
    """A message with a header that makes its UDP packet ``size`` bytes long."""
    filler = size - 28 - len(message) - len(b"X-Codecs: \r\n")
    return message.replace(b"CSeq:", b"X-Codecs: " + b"x" * filler + b"\r\nCSeq:", 1)


class FragmentedSample(Sample):
    """A sample whose last packets are the fragments of one datagram; examples document that datagram."""

    @property
    def payload(self) -> bytes:
        return b"".join(ip.parse(each.data).payload for each in self.packets)


def in_fragments(message: bytes) -> FragmentedSample:
    datagram = ip.udp(PHONE, REGISTRAR, message, dont_fragment=False)
    pieces = fragmented(datagram, identification=7)
    return FragmentedSample(tuple(Packet(0.0, Side.INSIDE, piece) for piece in pieces))


def tcp_outbound(data: bytes, seq: int, ack: int = 0, flags: int = ACK | PSH) -> Packet:
    """A segment of the phone; ``seq`` and ``ack`` count from the first byte of data."""
    return Packet(
        0.2, Side.INSIDE, ip.tcp(PHONE, REGISTRAR, data, seq=SEQ + seq, ack=ACKED + ack, flags=flags)
    )


def tcp_inbound(data: bytes, seq: int, ack: int = 0, flags: int = ACK | PSH) -> Packet:
    """A segment of the registrar."""
    return Packet(
        0.2, Side.OUTSIDE, ip.tcp(REGISTRAR, PUBLIC, data, seq=ACKED + seq, ack=SEQ + ack, flags=flags)
    )


CONNECTED: Final = sample(
    tcp_outbound(b"", -1, 0, SYN), tcp_inbound(b"", -1, 0, SYN | ACK), tcp_outbound(b"", 0, 0, ACK)
)

TCP_REGISTER: Final = registering(
    b"Contact: <sip:alice@192.168.1.20;transport=tcp>\r\n", VIA.replace(b"UDP", b"TCP")
)
TCP_AGENT_LAST: Final = TCP_REGISTER.replace(
    b"Content-Length: 0\r\n", b"Content-Length: 0\r\nUser-Agent: Desk phone\r\n"
)
CUT: Final = TCP_REGISTER.index(b"Contact:")

_LONG_URI: Final = b"sip:bob@lab.test;session=" + b"0123456789abcdef" * 15
_SIX: Final = b"Contact: <sip:alice@[2001:db8::20]:5060>\r\n"

SAMPLES: Final[dict[str, Sample]] = {
    "transport-compact": sample(outbound(COMPACT)),
    "transport-folded": sample(outbound(registering(b"Contact:\r\n <sip:alice@192.168.1.20:5060>\r\n"))),
    "transport-capitals": sample(outbound(registering(CONTACT.replace(b"Contact", b"CONTACT")))),
    "transport-two-contacts": sample(
        outbound(
            registering(b"Contact: <sip:alice@192.168.1.20:5060>;q=0.9, <sip:a2@192.168.1.20:5062>;q=0.5\r\n")
        )
    ),
    "transport-two-spaces": sample(outbound(registering(via=VIA.replace(b"UDP ", b"UDP  ")))),
    "transport-extra-header": sample(
        outbound(registering(b"X-Via: SIP/2.0/UDP 192.168.1.20:5060\r\n" + CONTACT))
    ),
    "transport-quoted": sample(
        outbound(
            registering().replace(
                b"From: <sip:alice", b'From: "Contact: <sip:a@192.168.1.20:5060>" <sip:alice'
            )
        )
    ),
    "transport-ipv6-contact": sample(outbound(registering(_SIX))),
    "transport-ipv6": sample(
        outbound(
            registering(_SIX, VIA.replace(b"192.168.1.20", b"[2001:db8::20]")),
            source=Endpoint("2001:db8::20", 5060),
            target=Endpoint("2001:db8:ffff::10", 5060),
        )
    ),
    "transport-subscribe": sample(outbound(SUBSCRIBE)),
    "transport-long-uri": sample(outbound(INVITE.replace(b"sip:bob@lab.test", _LONG_URI, 1))),
    "transport-long-line": sample(outbound(padded(INVITE, 1600))),
    "transport-fragments": in_fragments(padded(INVITE, 1700)),
    "transport-nearly-mtu": sample(outbound(padded(PORTLESS, 1498))),
    "transport-tcp": sample(CONNECTED, tcp_outbound(TCP_REGISTER, 0)),
    "transport-tcp-two": sample(
        CONNECTED,
        tcp_outbound(TCP_REGISTER, 0),
        tcp_outbound(
            TCP_REGISTER.replace(b"alice", b"bob").replace(b"CSeq: 1", b"CSeq: 2"), len(TCP_REGISTER)
        ),
    ),
    "transport-tcp-second-half": sample(
        CONNECTED, tcp_outbound(TCP_REGISTER[:CUT], 0), tcp_outbound(TCP_REGISTER[CUT:], CUT)
    ),
    "transport-tcp-agent-last": sample(CONNECTED, tcp_outbound(TCP_AGENT_LAST, 0)),
}
