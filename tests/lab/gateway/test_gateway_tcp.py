"""SIP over TCP through the whole router: addresses, sequence numbers, and the ALG in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from siplab.alg_models.controls import CORRECT
from siplab.lab.gateway.alg import Context, Model
from siplab.lab.gateway.gateway import Emission, Side
from siplab.lab.gateway.nat_config import PortAllocation, StaticMapping
from siplab.lab.wire import ip
from siplab.lab.wire.ip import ACK, FIN, PSH, RST, SYN, Endpoint, Packet, parse
from siplab.lab.wire.sip import SipMessage

if TYPE_CHECKING:
    from tests.lab.gateway.conftest import ModelMaker, Router, RouterMaker

PHONE, SERVER = Endpoint("192.168.1.20", 5062), Endpoint("198.51.100.10", 5060)
PUBLIC = Endpoint("203.0.113.7", 61002)
SEQ, ACKED = 1000, 77000

REGISTER = (
    b"REGISTER sip:lab.test SIP/2.0\r\nVia: SIP/2.0/TCP 192.168.1.20:5062;branch=z9hG4bK1\r\n"
    b"To: <sip:alice@lab.test>\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n"
    b"Contact: <sip:alice@192.168.1.20:5062;transport=tcp>\r\nContent-Length: 0\r\n\r\n"
)
REGISTERED = (
    b"SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP 192.168.1.20:5062;branch=z9hG4bK1\r\n"
    b"To: <sip:alice@lab.test>\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n"
    b"Contact: <sip:alice@192.168.1.20:5062;transport=tcp>;expires=60\r\nContent-Length: 0\r\n\r\n"
)


def public(text: bytes) -> bytes:
    """The same message with public addresses."""
    return text.replace(b"192.168.1.20:5062", b"203.0.113.7:61002")


class Connection:
    """A TCP connection from the phone to the server; numbers count from the first byte of data."""

    def __init__(self, router: Router, remote: Endpoint = SERVER) -> None:
        self.router, self.remote = router, remote
        syn = self.out(b"", -1, 0, SYN)
        syn_ack = self.back(b"", -1, 0, SYN | ACK)
        assert [each.seq for each in (syn, syn_ack)] == [SEQ - 1, ACKED - 1]
        self.out(b"", 0, 0)

    def raw(self, side: Side, data: bytes, seq: int, ack: int, flags: int = ACK) -> list[Emission]:
        if side is Side.INSIDE:
            packet = ip.tcp(PHONE, self.remote, data, seq=SEQ + seq, ack=ACKED + ack, flags=flags)
        else:
            packet = ip.tcp(self.remote, PUBLIC, data, seq=ACKED + seq, ack=SEQ + ack, flags=flags)
        return self.router.handle(packet, side)

    def out(self, data: bytes, seq: int, ack: int, flags: int = ACK) -> Packet:
        (emission,) = self.raw(Side.INSIDE, data, seq, ack, flags)
        assert emission.side is Side.OUTSIDE, emission.fate
        packet = parse(emission.packet)
        assert (packet.source, packet.destination) == (PUBLIC, self.remote)
        return packet

    def back(self, data: bytes, seq: int, ack: int, flags: int = ACK) -> Packet:
        (emission,) = self.raw(Side.OUTSIDE, data, seq, ack, flags)
        assert emission.side is Side.INSIDE, emission.fate
        packet = parse(emission.packet)
        assert (packet.source, packet.destination) == (self.remote, PHONE)
        return packet


@pytest.fixture
def router(correct_router: Callable[..., Router]) -> Router:
    return correct_router(port_allocation=PortAllocation.SEQUENTIAL, first_port=PUBLIC.port)


def test_register_and_its_answer(router: Router) -> None:
    line = Connection(router)
    left = line.out(REGISTER, 0, 0, ACK | PSH)
    assert (left.payload, left.seq, left.ack) == (public(REGISTER), SEQ, ACKED)
    grown, answer = len(public(REGISTER)), public(REGISTERED)
    acknowledged = line.back(b"", 0, grown)
    assert (acknowledged.seq, acknowledged.ack) == (ACKED, SEQ + len(REGISTER))
    came = line.back(answer, 0, grown, ACK | PSH)
    assert (came.payload, came.seq, came.ack) == (REGISTERED, ACKED, SEQ + len(REGISTER))
    thanks = line.out(b"", len(REGISTER), len(REGISTERED))
    assert (thanks.seq, thanks.ack) == (SEQ + grown, ACKED + len(answer))
    # And on with shifted numbers, to the end.
    again = line.out(REGISTER, len(REGISTER), len(REGISTERED))
    assert (again.payload, again.seq, again.ack) == (public(REGISTER), SEQ + grown, ACKED + len(answer))
    fin = line.out(b"", 2 * len(REGISTER), len(REGISTERED), FIN | ACK)
    assert (fin.seq, fin.flags & FIN) == (SEQ + 2 * grown, FIN)
    fin = line.back(b"", len(answer), 2 * grown + 1, FIN | ACK)
    assert (fin.seq, fin.ack) == (ACKED + len(REGISTERED), SEQ + 2 * len(REGISTER) + 1)


@pytest.mark.parametrize("cuts", [(1,), (40,), (len(REGISTER) - 1,), (3, 70, 71, 150)])
def test_a_message_in_several_segments_leaves_whole(router: Router, cuts: tuple[int, ...]) -> None:
    line = Connection(router)
    bounds = [0, *cuts, len(REGISTER)]
    *first, last = [line.raw(Side.INSIDE, REGISTER[start:end], start, 0) for start, end in pairwise(bounds)]
    for end, emissions in zip(cuts, first, strict=True):
        # The phone may be waiting for an ACK of the bytes that the router holds.
        (answer,) = emissions
        assert (answer.side, answer.originated) == (Side.INSIDE, True)
        packet = parse(answer.packet)
        assert (packet.source, packet.destination) == (SERVER, PHONE)
        assert (packet.ack, packet.payload) == (SEQ + end, b"")
    (whole,) = last
    assert whole.changed
    assert (parse(whole.packet).payload, parse(whole.packet).seq) == (public(REGISTER), SEQ)


def test_an_answer_in_two_segments(router: Router) -> None:
    line = Connection(router)
    line.out(REGISTER, 0, 0)
    answer, grown = public(REGISTERED), len(public(REGISTER))
    held = line.raw(Side.OUTSIDE, answer[:50], 0, grown)
    to_server = [parse(each.packet) for each in held if each.side is Side.OUTSIDE]
    assert [(each.source, each.destination, each.ack) for each in to_server] == [(PUBLIC, SERVER, ACKED + 50)]
    *_, whole = line.raw(Side.OUTSIDE, answer[50:], 50, grown)
    assert (whole.side, parse(whole.packet).payload) == (Side.INSIDE, REGISTERED)


def test_a_retransmission_puts_out_the_same(router: Router) -> None:
    line = Connection(router)
    assert bytes(line.out(REGISTER, 0, 0)) == bytes(line.out(REGISTER, 0, 0))


def test_the_registration_holds_the_way_in(router: Router) -> None:
    line = Connection(router)
    line.out(REGISTER, 0, 0)
    line.back(public(REGISTERED), 0, len(public(REGISTER)))
    line.raw(Side.INSIDE, b"", len(REGISTER), len(REGISTERED), RST)
    nat = router.gateway.nat
    (binding,) = nat.bindings
    call = Endpoint(SERVER.ip, 40000)
    assert nat.admitted_until(binding, call, 0.0) == 60.0


def test_ports_that_are_not_inspected_are_left_alone(router: Router) -> None:
    line = Connection(router, SERVER._replace(port=8080))
    options = b"\x02\x04\x05\xb4\x04\x02\x01\x01"
    syn = ip.tcp(PHONE, line.remote, seq=5, flags=SYN, options=options)
    assert router.crossed(syn, Side.INSIDE).transport[20:] == options
    left = line.out(REGISTER[:50], 0, 0)
    assert (left.payload, left.seq) == (REGISTER[:50], SEQ)
    assert line.back(public(REGISTERED), 0, 50).payload == public(REGISTERED)


def test_connections_are_kept_apart(router: Router) -> None:
    """One phone port, two servers: each connection has its own sequence numbers."""
    lines = [Connection(router, remote) for remote in (SERVER, Endpoint("192.0.2.66", 5060))]
    lines[0].out(REGISTER, 0, 0)
    assert lines[1].out(REGISTER, 0, 0).seq == SEQ
    grown = len(public(REGISTER))
    assert [line.back(b"", 0, grown).ack for line in lines] == [SEQ + len(REGISTER)] * 2


def boom(message: SipMessage, context: Context) -> None:
    raise ZeroDivisionError("boom")


def test_a_model_that_raises(new_router: RouterMaker, acting_model: ModelMaker) -> None:
    router = new_router(acting_model(boom), port_allocation=PortAllocation.SEQUENTIAL, first_port=PUBLIC.port)
    (emission,) = Connection(router).raw(Side.INSIDE, REGISTER, 0, 0)
    assert parse(emission.packet).payload == REGISTER
    assert (emission.error, emission.changed) == ("ZeroDivisionError: boom", False)


def test_a_model_that_drops(new_router: RouterMaker, acting_model: ModelMaker) -> None:
    """The message is removed from the stream, and the connection goes on."""

    def drop(message: SipMessage, context: Context) -> None:
        if message.method == b"REGISTER":
            context.drop("no registrations")

    router = new_router(acting_model(drop), port_allocation=PortAllocation.SEQUENTIAL, first_port=PUBLIC.port)
    line = Connection(router)
    emissions = line.raw(Side.INSIDE, REGISTER, 0, 0)
    assert [each.side for each in emissions if parse(each.packet).payload and each.side is not None] == []
    other = b"OPTIONS sip:lab.test SIP/2.0\r\nContent-Length: 0\r\n\r\n"
    left = line.out(other, len(REGISTER), 0)
    assert (left.payload, left.seq) == (other, SEQ)


def test_the_number_of_connections_is_bounded(router: Router) -> None:
    for port in range(1500):
        router.one(ip.tcp(PHONE, Endpoint(f"192.0.2.{port % 250}", 5060), seq=port), Side.INSIDE)
        router.one(ip.tcp(Endpoint("192.168.1.21", 1024 + port), SERVER, flags=SYN), Side.INSIDE)
    assert router.gateway.connections == 1024


# -- a server that connects to the phone -------------------------------------------------------------

OFFER = b"v=0\r\no=- 1 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %d RTP/AVP 0\r\n"


def called(uri: bytes) -> bytes:
    body = OFFER % (b"198.51.100.10", b"198.51.100.10", 30000)
    return (
        b"INVITE sip:alice@%s;transport=tcp SIP/2.0\r\nVia: SIP/2.0/TCP 198.51.100.10;branch=z9hG4bK2\r\n"
        b"Call-ID: 2\r\nCSeq: 1 INVITE\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n"
    ) % (uri, len(body)) + body


def accepted(contact: bytes, address: bytes, port: int) -> bytes:
    body = OFFER % (address, address, port)
    return (
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP 198.51.100.10;branch=z9hG4bK2\r\nCall-ID: 2\r\n"
        b"CSeq: 1 INVITE\r\nContact: <sip:alice@%s>\r\nContent-Type: application/sdp\r\n"
        b"Content-Length: %d\r\n\r\n"
    ) % (contact, len(body)) + body


@pytest.mark.parametrize("port", [5060, 5064])
def test_a_call_over_the_servers_own_connection(router: Router, port: int) -> None:
    contact = b"192.168.1.20:%d" % port
    line = Connection(router)
    register = REGISTER.replace(b"<sip:alice@192.168.1.20:5062", b"<sip:alice@" + contact)
    seen = line.out(register, 0, 0).payload
    answer = REGISTERED.replace(b"192.168.1.20:5062;branch", b"203.0.113.7:61002;branch")
    answer = answer.replace(b"192.168.1.20:5062", b"203.0.113.7:61004")
    assert b"<sip:alice@203.0.113.7:61004;transport=tcp>" in seen
    line.back(answer, 0, len(seen))

    phone, caller = Endpoint("192.168.1.20", port), Endpoint(SERVER.ip, 41000)

    def send(side: Side, data: bytes, seq: int, ack: int, flags: int = ACK) -> Packet:
        mapped = Endpoint(PUBLIC.ip, 61004)
        ends = (phone, caller) if side is Side.INSIDE else (caller, mapped)
        packet = router.crossed(ip.tcp(*ends, data, seq=seq, ack=ack, flags=flags), side)
        assert (packet.source, packet.destination) == ((mapped, caller), (caller, phone))[
            side is Side.OUTSIDE
        ]
        return packet

    send(Side.OUTSIDE, b"", 0, 0, SYN)
    send(Side.INSIDE, b"", 0, 1, SYN | ACK)
    send(Side.OUTSIDE, b"", 1, 1)
    invite = called(b"203.0.113.7:61004")
    got = send(Side.OUTSIDE, invite, 1, 1, ACK | PSH)
    assert got.payload == called(contact)
    ok = accepted(contact, b"192.168.1.20", 16000)
    sent = send(Side.INSIDE, ok, 1, 1 + len(got.payload), ACK | PSH)
    assert sent.payload == accepted(b"203.0.113.7:61004", b"203.0.113.7", 61006)
    assert sent.ack == 1 + len(invite)  # in the server's numbers


@pytest.mark.parametrize("policy", [{"transports": frozenset({"udp"})}, {"ports": frozenset({5080})}])
def test_a_connection_from_outside_that_the_policy_leaves_alone(
    new_router: RouterMaker, policy: dict[str, frozenset[object]]
) -> None:
    forwarded = StaticMapping(protocol="tcp", port=5060, inside="192.168.1.20")
    model = Model("narrow", CORRECT.card, replace(CORRECT.recipe, policy=policy))
    for each, text in ((model, b"203.0.113.7"), (CORRECT, b"192.168.1.20:5060")):
        router = new_router(each, static_mappings=(forwarded,))
        ends = Endpoint(SERVER.ip, 41000), Endpoint(PUBLIC.ip, 5060)
        router.crossed(ip.tcp(*ends, b"", seq=0, flags=SYN), Side.OUTSIDE)
        router.crossed(
            ip.tcp(PHONE._replace(port=5060), ends[0], b"", seq=0, ack=1, flags=SYN | ACK), Side.INSIDE
        )
        packet = ip.tcp(*ends, called(b"203.0.113.7"), seq=1, ack=1)
        assert router.crossed(packet, Side.OUTSIDE).payload == called(text)
