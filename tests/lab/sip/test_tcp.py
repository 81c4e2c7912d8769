"""The agents' TCP: two stacks over a wire that loses, repeats, delays and cuts segments, and SIP on top."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from siplab.lab.sip.streams import cut
from siplab.lab.sip.tcp import Connection, State, TcpConfig, TcpStack
from siplab.lab.sip.tcp_connection import R2, R2_SYN, RTO, TIME_WAIT, WINDOW
from siplab.lab.sip.timers import Timers
from siplab.lab.wire import ip
from siplab.lab.wire.ip import ACK, FIN, PSH, RST, SYN, Endpoint, Packet
from siplab.lab.wire.sip import SipMessage

CLIENT, SERVER = Endpoint("192.0.2.1", 5060), Endpoint("198.51.100.10", 5060)

Filter = Callable[[Packet], list[Packet]]


@dataclass(eq=False)
class End:
    """One stack, and the events that it reported to its user."""

    wire: Wire
    stack: TcpStack = field(init=False)
    received: dict[Connection, bytes] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)

    def emit(self, local: Endpoint, remote: Endpoint, packet: bytes) -> None:
        assert not ip.verify(packet)
        self.wire.log.append(ip.parse(packet))
        self.wire.under_way.extend(self.wire.filter(ip.parse(packet)))

    def on_bytes(self, connection: Connection, data: bytes, now: float) -> None:
        self.received[connection] = self.received.get(connection, b"") + data

    def on_end(self, connection: Connection, reason: str, now: float) -> None:
        self.ended.append(reason)

    @property
    def bytes(self) -> bytes:
        return b"".join(self.received.values())


@dataclass
class Wire:
    """Two ends and one clock. ``filter`` returns what arrives for each segment."""

    filter: Filter = lambda packet: [packet]
    mtu: int = 1500
    cork: float = 0.0
    now: float = 0.0
    timers: Timers = field(default_factory=Timers)
    log: list[Packet] = field(default_factory=list)
    under_way: deque[Packet] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.client, self.server = self._end(1), self._end(2)
        self.server.stack.listening.add(SERVER)
        self.client.stack.listening.add(CLIENT)

    def _end(self, seed: int) -> End:
        end = End(self)
        end.stack = TcpStack(end, self.timers, random.Random(seed), TcpConfig(self.mtu, self.cork))
        return end

    def connect(self) -> Connection:
        return self.client.stack.connect(CLIENT, SERVER, self.now)

    def settle(self) -> None:
        for _ in range(10_000):
            if not self.under_way:
                return
            packet = self.under_way.popleft()
            end = self.server if packet.destination == SERVER else self.client
            end.stack.receive(bytes(packet), self.now)
        raise AssertionError("segments without end")

    def run(self, seconds: float) -> None:
        """Let time go by."""
        until = self.now + seconds
        self.settle()
        while (due := self.timers.next()) is not None and due <= until:
            self.now = max(self.now, due)
            self.timers.run(self.now)
            self.settle()
        self.now = until

    @property
    def accepted(self) -> Connection:
        return next(iter(self.server.stack.connections.values()))


def flags(wire: Wire) -> list[int]:
    return [packet.flags for packet in wire.log]


# -- the life of a connection ------------------------------------------------------------------------


def test_open_send_and_close() -> None:
    wire = Wire()
    connection = wire.connect()
    connection.write([b"REGISTER"], wire.now)
    wire.settle()
    assert flags(wire) == [SYN, SYN | ACK, PSH | ACK, ACK]
    assert wire.server.bytes == b"REGISTER"
    connection.close(wire.now)
    wire.settle()
    assert wire.server.ended == ["closed by the other side"]
    assert connection.state is State.TIME_WAIT
    assert not wire.server.stack.connections
    wire.run(TIME_WAIT)
    assert not wire.client.stack.connections


def test_an_answer_carries_the_acknowledgement() -> None:
    wire = Wire()
    wire.server.on_bytes = (  # type: ignore[method-assign]
        lambda connection, data, now: connection.write([data.upper()], now)
    )
    wire.connect().write([b"register"], wire.now)
    wire.settle()
    assert flags(wire) == [SYN, SYN | ACK, PSH | ACK, PSH | ACK, ACK]
    assert wire.client.bytes == b"REGISTER"


def test_both_open_at_the_same_time() -> None:
    wire = Wire()
    wire.connect().write([b"from the client"], wire.now)
    wire.server.stack.connect(SERVER, CLIENT, wire.now).write([b"from the server"], wire.now)
    wire.run(1.0)
    assert (wire.server.bytes, wire.client.bytes) == (b"from the client", b"from the server")
    assert {wire.connect().state, wire.accepted.state} == {State.ESTABLISHED}


def test_a_connection_to_oneself() -> None:
    """Odd, but TCP allows it, and a request may lead a proxy to do so."""
    wire = Wire()
    wire.server.stack.connect(SERVER, SERVER, wire.now).write([b"hello"], wire.now)
    wire.settle()
    assert wire.server.bytes == b"hello"


def test_nobody_listens() -> None:
    wire = Wire()
    wire.server.stack.listening.clear()
    wire.connect()
    wire.settle()
    assert flags(wire) == [SYN, RST | ACK]
    assert wire.client.ended == ["refused"]


def test_nobody_is_there() -> None:
    wire = Wire(filter=lambda packet: [])
    wire.connect()
    wire.run(R2_SYN + 60)
    assert wire.client.ended == ["no answer"]
    times = [packet.flags for packet in wire.log]
    assert times == [SYN] * 8  # after 0, 1, 3, 7, 15, 31, 63 and 123 s


def test_the_other_side_vanishes() -> None:
    wire = Wire()
    connection = wire.connect()
    wire.settle()
    wire.filter = lambda packet: []
    connection.write([b"anybody?"], wire.now)
    wire.run(R2 + 60)
    assert wire.client.ended == ["no answer"]
    assert connection.retransmitted > 3
    assert not wire.client.stack.connections


def test_one_side_starts_again() -> None:
    """After a power loss a phone opens the same connection again, which still exists in the server."""
    wire = Wire()
    wire.connect()
    wire.settle()
    wire.client = wire._end(3)
    wire.connect().write([b"back again"], wire.now)
    wire.run(3 * RTO)
    assert wire.server.ended == ["reset by the other side"]
    assert wire.server.bytes == b"back again"


def test_a_reset_must_be_exact() -> None:
    """RFC 5961 section 3.2: a reset in the window, but not at the next number, gets a challenge ACK."""
    wire = Wire()
    connection = wire.connect()
    wire.settle()
    wire.log.clear()
    forged = ip.tcp(SERVER, CLIENT, seq=connection._expected + 100, flags=RST)
    wire.client.stack.receive(forged, wire.now)
    assert connection.state is State.ESTABLISHED
    assert flags(wire) == [ACK]
    wire.client.stack.receive(ip.tcp(SERVER, CLIENT, seq=connection._expected, flags=RST), wire.now)
    assert wire.client.ended == ["reset by the other side"]


def test_a_wrong_checksum_is_not_heard() -> None:
    wire = Wire()
    damaged = bytearray(ip.tcp(CLIENT, SERVER, flags=SYN))
    damaged[25] ^= 1
    wire.server.stack.receive(bytes(damaged), wire.now)
    assert not wire.log
    assert not wire.server.stack.connections


# -- segments ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mtu", "size"), [(1500, 1460), (1400, 1360), (576, 536)])
def test_segments_fit_the_link(mtu: int, size: int) -> None:
    wire = Wire(mtu=mtu)
    wire.connect().write([b"x" * 4000], wire.now)
    wire.settle()
    assert max(len(bytes(packet)) for packet in wire.log) == size + 40
    assert wire.server.bytes == b"x" * 4000


def test_each_piece_has_segments_of_its_own() -> None:
    wire = Wire()
    wire.connect().write([b"one", b"two"], wire.now)
    wire.settle()
    assert [packet.payload for packet in wire.log if packet.payload] == [b"one", b"two"]


def test_a_cork_makes_one_segment_of_many_pieces() -> None:
    wire = Wire(cork=0.2)
    connection = wire.connect()
    wire.settle()
    for piece in (b"one", b"two"):
        connection.write([piece], wire.now)
    wire.run(0.1)
    assert wire.server.bytes == b""
    wire.run(0.2)
    assert [packet.payload for packet in wire.log if packet.payload] == [b"onetwo"]


def test_no_more_than_the_window_is_under_way() -> None:
    wire = Wire()
    wire.connect().write([b"x" * 200_000], wire.now)
    wire.settle()
    assert wire.server.bytes == b"x" * 200_000
    highest = acknowledged = 0
    start = wire.log[0].seq + 1
    for packet in wire.log:
        if packet.source == CLIENT:
            highest = (
                max(highest, (packet.seq - start) % 2**32 + len(packet.payload)) if packet.payload else 0
            )
            assert highest - acknowledged <= WINDOW
        else:
            acknowledged = max(acknowledged, (packet.ack - start) % 2**32)


def test_two_ends_that_disagree_do_not_talk_for_ever() -> None:
    """As behind a router that makes a message longer and does not adjust sequence numbers."""

    def lengthen(packet: Packet) -> list[Packet]:
        return [packet.with_(payload=packet.payload + b"more")] if packet.payload else [packet]

    wire = Wire(filter=lengthen)
    connection = wire.connect()
    connection.write([b"REGISTER"], wire.now)
    wire.run(30.0)
    assert wire.server.bytes == b"REGISTERmore"
    assert connection._chunks, "what was acknowledged is not what was sent"
    assert len(wire.log) < 200


@dataclass
class Bad:
    """A wire that loses, repeats, delays and re-cuts segments, for a while."""

    rng: random.Random
    until: int
    count: int = 0
    kept: list[Packet] = field(default_factory=list)

    def __call__(self, packet: Packet) -> list[Packet]:
        self.count += 1
        if self.count > self.until:
            out, self.kept = [*self.kept, packet], []
            return out
        fate = self.rng.randrange(6)
        if fate == 0:
            return []
        if fate == 1:
            return [packet, packet]
        if fate == 2:
            self.kept.append(packet)
            return []
        if fate == 3 and len(packet.payload) > 1:
            at = self.rng.randrange(1, len(packet.payload))
            head = packet.with_(payload=packet.payload[:at], flags=packet.flags & ~FIN)
            return [packet.with_(seq=packet.seq + at, payload=packet.payload[at:]), head]
        out, self.kept = [packet, *self.kept], []
        return out


@settings(max_examples=100, deadline=None)
@example(481, [(True, b"a"), (True, b"b"), (True, b"c")], 576, 0.0)
@given(
    st.integers(0, 2**32),
    st.lists(st.tuples(st.booleans(), st.binary(max_size=4000)), max_size=12),
    st.sampled_from((576, 1500)),
    st.sampled_from((0.0, 0.2)),
)
def test_every_byte_arrives_once_and_in_order(
    seed: int, writes: list[tuple[bool, bytes]], mtu: int, cork: float
) -> None:
    wire = Wire(filter=Bad(random.Random(seed), until=60), mtu=mtu, cork=cork)
    connection = wire.connect()
    wire.run(400.0 if connection.state is State.SYN_SENT else 1.0)
    if connection.state is not State.ESTABLISHED or not wire.server.stack.connections:
        return  # no connection was established
    for outbound, data in writes:
        (connection if outbound else wire.accepted).write([data], wire.now)
        wire.run(0.05)
    wire.run(90.0)
    assert wire.server.bytes == b"".join(data for outbound, data in writes if outbound)
    assert wire.client.bytes == b"".join(data for outbound, data in writes if not outbound)
    connection.close(wire.now)
    wire.run(TIME_WAIT + 200.0)
    assert not wire.client.stack.connections
    # An end that got no FIN is half-open: its next segment gets an RST (RFC 9293 3.5.1).
    for half_open in list(wire.server.stack.connections.values()):
        half_open.write([b"anybody there?"], wire.now)
        wire.run(1.0)
    assert not wire.server.stack.connections


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(-70_000, 70_000),
            st.integers(-70_000, 70_000),
            st.integers(0, 63),
            st.binary(max_size=40),
        ),
        max_size=20,
    )
)
def test_whatever_comes_is_survived(rows: list[tuple[int, int, int, bytes]]) -> None:
    wire = Wire()
    connection = wire.connect()
    wire.settle()
    for seq, ack, bits, payload in rows:
        forged = ip.tcp(
            SERVER,
            CLIENT,
            payload,
            seq=(connection._expected + seq) % 2**32,
            ack=(connection._next + ack) % 2**32,
            flags=bits,
        )
        wire.client.stack.receive(forged, wire.now)
        wire.run(0.1)


# -- messages ------------------------------------------------------------------------------------------


def test_a_message_is_cut_inside_a_header_line() -> None:
    wire = (
        b"REGISTER sip:lab.test SIP/2.0\r\nVia: SIP/2.0/TCP 192.168.1.102:5060;branch=z9hG4bK1\r\n"
        b"Contact: <sip:alice@192.168.1.102:5060;transport=tcp>\r\nContent-Length: 0\r\n\r\n"
    )
    first, second = cut(wire)
    assert first + second == wire
    line = SipMessage.parse(wire).get(b"via")
    assert line is not None
    begin = wire.index(line.raw)
    assert begin + 4 < len(first) < begin + len(line.raw) - 4
