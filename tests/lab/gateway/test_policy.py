"""What a model's policy does to packets, apart from its steps: fragments, growth, TCP, checksums, non-SIP."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Model, Recipe
from siplab.lab.gateway.fate import Fate
from siplab.lab.gateway.gateway import Emission, Side
from siplab.lab.gateway.nat_config import PortAllocation
from siplab.lab.gateway.tcp import TcpEditor
from siplab.lab.wire import ip
from siplab.lab.wire.fragments import fragmented
from siplab.lab.wire.ip import ACK, FIN, PSH, SYN, Endpoint, parse
from siplab.lab.wire.sip import SipMessage, split_stream
from siplab.lab.wire.tcp_segment import near
from tests.lab.gateway.conftest import ModelMaker, Router, RouterMaker
from tests.lab.gateway.tcp_network import RUNS, Network, Run

PHONE, SERVER = Endpoint("192.168.1.20", 5060), Endpoint("198.51.100.10", 5060)
PUBLIC = Endpoint("203.0.113.7", 61002)
PHONE6, SERVER6 = Endpoint("2001:db8:1::20", 5060), Endpoint("2001:db8:ffff::10", 5060)


def options(filler: int = 0, transport: str = "UDP") -> bytes:
    """A message that grows by five bytes on its way out: its Via has no port."""
    return (
        f"OPTIONS sip:lab.test SIP/2.0\r\nVia: SIP/2.0/{transport} 192.168.1.20;branch=z9hG4bK1\r\n"
        f"Call-ID: 1\r\nCSeq: 1 OPTIONS\r\nSubject: {'x' * filler}\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def translated(text: bytes) -> bytes:
    return text.replace(b"192.168.1.20", b"203.0.113.7:61002")


GROWTH = len(translated(options())) - len(options())


def of_size(size: int) -> bytes:
    """The message in a UDP packet of ``size`` bytes."""
    return options(size - 28 - len(options()))


def correct(**policy: object) -> Model:
    return Model("test", Card("for this test"), Recipe(base=CORRECT_STEPS, policy=policy))


def router_of(new_router: RouterMaker, model: Model, **settings: object) -> Router:
    return new_router(model, port_allocation=PortAllocation.SEQUENTIAL, first_port=PUBLIC.port, **settings)


def fragments(message: bytes, source: Endpoint = PHONE, target: Endpoint = SERVER) -> list[bytes]:
    return fragmented(ip.udp(source, target, message, dont_fragment=False), identification=9)


# -- fragments -------------------------------------------------------------------------------------


def test_fragments_are_dropped(new_router: RouterMaker) -> None:
    router = router_of(new_router, correct(fragments="drop"))
    for each in fragments(options(2000)):
        assert router.fate(each, Side.INSIDE) is Fate.FRAGMENT_DROPPED
    assert router.gateway.nat.bindings == []
    # A whole datagram passes, and is translated, on the first and on every later packet of the flow.
    for _ in range(2):
        assert router.send(PHONE, SERVER, options()).payload == translated(options())
    for each in fragments(options(2000), SERVER, PUBLIC):
        assert router.fate(each, Side.OUTSIDE) is Fate.FRAGMENT_DROPPED


@pytest.mark.parametrize("known", [False, True], ids=["first packet", "known flow"])
def test_fragments_pass_unprocessed(new_router: RouterMaker, known: bool) -> None:
    router = router_of(new_router, correct(fragments="unprocessed"))
    if known:
        router.send(PHONE, SERVER, options())
    for _ in range(2):
        first, last = fragments(options(2000))
        assert router.fate(first, Side.INSIDE) is Fate.FRAGMENT_KEPT
        left = router.crossed(last, Side.INSIDE)
        assert (left.source, left.payload) == (PUBLIC, options(2000))
        # The ALG sees the flow's unfragmented datagrams, whatever happened with the fragments.
        assert router.send(PHONE, SERVER, options()).payload == translated(options())
    answer = translated(options(2000))
    first, last = fragments(answer, SERVER, PUBLIC)
    assert router.fate(first, Side.OUTSIDE) is Fate.FRAGMENT_KEPT
    came = router.crossed(last, Side.OUTSIDE)
    assert (came.destination, came.payload) == (PHONE, answer)


def test_unprocessed_fragments_are_still_checked(new_router: RouterMaker) -> None:
    """The ALG does not see the fragments, but the router does."""
    router = router_of(new_router, correct(fragments="unprocessed"))
    first, last = fragmented(
        ip.udp(PHONE, SERVER, options(2000), dont_fragment=False, ttl=1), identification=9
    )
    router.handle(first, Side.INSIDE)
    (expired,) = router.handle(last, Side.INSIDE)
    assert (expired.side, expired.originated) == (Side.INSIDE, True)
    wrong = ip.udp(PHONE, SERVER, options(2000), dont_fragment=False)
    wrong = wrong[:24] + b"\0\x10" + wrong[26:]
    first, last = fragmented(wrong, identification=10)
    router.handle(first, Side.INSIDE)
    assert "UDP length" in router.end(last, Side.INSIDE)[1]


def test_reassembled_fragments_are_inspected(new_router: RouterMaker) -> None:
    router = router_of(new_router, correct())
    first, last = fragments(options(2000))
    assert router.fate(first, Side.INSIDE) is Fate.FRAGMENT_KEPT
    assert router.crossed(last, Side.INSIDE).payload == translated(options(2000))


# -- growth ----------------------------------------------------------------------------------------


def around_the_mtu(router: Router, size: int) -> Emission:
    return router.one(ip.udp(PHONE, SERVER, of_size(size)), Side.INSIDE)


@pytest.mark.parametrize("size", range(1490, 1502))
def test_what_grows_beyond_the_mtu_is_lost(new_router: RouterMaker, size: int) -> None:
    router = router_of(new_router, correct(growth="drop"))
    for _ in range(2):
        emission = around_the_mtu(router, size)
        if size <= 1500 < size + GROWTH:
            assert (emission.side, emission.fate) == (None, Fate.OUTGREW_MTU)
        else:
            assert emission.side is Side.OUTSIDE
            assert len(emission.packet) == size + GROWTH


def test_without_that_fault_it_is_cut_although_the_sender_forbade_it(new_router: RouterMaker) -> None:
    emission = around_the_mtu(router_of(new_router, correct()), 1498)
    left = parse(emission.packet)
    assert (len(emission.packet), left.dont_fragment) == (1498 + GROWTH, False)
    whole = parse(around_the_mtu(router_of(new_router, correct()), 1400).packet)
    assert whole.dont_fragment


@pytest.mark.parametrize("forbidden", [True, False])
def test_it_may_be_cut_only_if_its_sender_allows(new_router: RouterMaker, forbidden: bool) -> None:
    router = router_of(new_router, correct(growth="obey-df"))
    packet = ip.udp(PHONE, SERVER, of_size(1498), dont_fragment=forbidden)
    emission = router.one(packet, Side.INSIDE)
    assert (emission.fate is Fate.OUTGREW_MTU) is forbidden
    assert (emission.side is None) is forbidden


def test_packets_with_options_and_ipv6_are_lost_as_well(
    new_router: RouterMaker, acting_model: ModelMaker
) -> None:
    def grow(message: SipMessage, context: Context) -> None:
        message.get(b"subject").value += b"y" * 8  # type: ignore[union-attr]

    model = acting_model(grow)
    lossy = Model("test", model.card, Recipe(last=model.steps, policy={"growth": "drop"}))
    plain = ip.udp(PHONE, SERVER, of_size(1490))
    head = bytes((0x46,)) + plain[1:2] + (1494).to_bytes(2, "big") + plain[4:10] + b"\0\0" + plain[12:20]
    head += b"\1\1\1\0"
    head = head[:10] + ip.checksum(head).to_bytes(2, "big") + head[12:]
    with_options = head + plain[20:]
    six = ip.udp(PHONE6, SERVER6, of_size(1475))
    assert len(six) == 1495
    for packet in (with_options, six):
        assert ip.verify(packet) == []
        assert router_of(new_router, lossy).fate(packet, Side.INSIDE) is Fate.OUTGREW_MTU
        assert router_of(new_router, model).crossed(packet, Side.INSIDE).payload.count(b"y") == 8


# -- checksum --------------------------------------------------------------------------------------


def field(packet: bytes) -> bytes:
    return parse(packet).transport[6:8]


def test_a_stale_checksum(new_router: RouterMaker) -> None:
    router = router_of(new_router, correct(checksum="stale")).gateway
    sent = ip.udp(PHONE, SERVER, options())
    for _ in range(2):
        (emission,) = router.handle(sent, Side.INSIDE, 0.0)
        assert ip.verify(emission.packet) == ["udp checksum"]
        assert field(emission.packet) == field(sent)
        assert parse(emission.packet).payload == translated(options())
    back = ip.udp(SERVER, PUBLIC, translated(options()))
    (emission,) = router.handle(back, Side.OUTSIDE, 0.0)
    assert (ip.verify(emission.packet), field(emission.packet)) == (["udp checksum"], field(back))


def test_only_messages_that_change_get_one(new_router: RouterMaker) -> None:
    """``Router`` checks the checksums of all packets that leave."""
    router = router_of(new_router, correct(checksum="stale"))
    untouched = options().replace(b"192.168.1.20", b"lab.test")
    for payload in (untouched, b"\r\n\r\n", untouched):
        assert router.send(PHONE, SERVER, payload).payload == payload
    media = router.send(PHONE._replace(port=4000), Endpoint("198.51.100.20", 40000), b"\x80rtp")
    assert media.payload == b"\x80rtp"


def test_a_sender_without_checksum_has_none_to_go_stale(new_router: RouterMaker) -> None:
    router = router_of(new_router, correct(checksum="stale"))
    sent = ip.udp(PHONE, SERVER, options())
    left = router.crossed(sent[:26] + b"\0\0" + sent[28:], Side.INSIDE)
    assert (left.transport[6:8], left.payload) == (b"\0\0", translated(options()))


def test_a_stale_checksum_in_ipv6(new_router: RouterMaker, acting_model: ModelMaker) -> None:
    def change(message: SipMessage, context: Context) -> None:
        message.get(b"subject").value = b"hello"  # type: ignore[union-attr]

    model = acting_model(change)
    model = Model("test", model.card, Recipe(last=model.steps, policy={"checksum": "stale"}))
    sent = ip.udp(PHONE6, SERVER6, options())
    (emission,) = new_router(model).gateway.handle(sent, Side.INSIDE, 0.0)
    assert ip.verify(emission.packet) == ["udp checksum"]
    assert field(emission.packet) == field(sent)
    assert b"Subject: hello" in parse(emission.packet).payload


# -- what is not SIP -------------------------------------------------------------------------------

NOT_SIP = [b"\r\n\r\n", b"\0", b"", b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12), b"hello\r\n\r\n"]


@pytest.mark.parametrize("payload", NOT_SIP)
@pytest.mark.parametrize("steps", [CORRECT_STEPS, ()], ids=["correct", "no steps"])
def test_datagrams_that_are_not_sip(
    new_router: RouterMaker, payload: bytes, steps: tuple[object, ...]
) -> None:
    recipe = {"base": steps}
    strict = Model("test", Card(""), Recipe(**recipe, policy={"non_sip": "drop"}))  # type: ignore[arg-type]
    lenient = Model("test", Card(""), Recipe(**recipe))  # type: ignore[arg-type]
    assert router_of(new_router, lenient).send(PHONE, SERVER, payload).payload == payload
    router = router_of(new_router, strict)
    for _ in range(2):
        assert router.end(ip.udp(PHONE, SERVER, payload), Side.INSIDE) == (Fate.DROPPED_BY_MODEL, "not SIP")
    assert router.end(ip.udp(PHONE6, SERVER6, payload), Side.INSIDE) == (Fate.DROPPED_BY_MODEL, "not SIP")
    assert router.send(PHONE, SERVER._replace(port=5070), payload).payload == payload
    assert router.send(PHONE, SERVER, options()).payload == (translated(options()) if steps else options())
    blocked = ip.udp(SERVER, PUBLIC, payload)
    assert router.end(blocked, Side.OUTSIDE) == (Fate.DROPPED_BY_MODEL, "not SIP")


# -- TCP -------------------------------------------------------------------------------------------

SEQ, ACKED = 1000, 77000
MESSAGE = options(transport="TCP")
GROWN = translated(MESSAGE)
HALF = len(MESSAGE) // 2


class Line:
    """A TCP connection through a router; numbers count from the first byte of data."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.out(b"", -1, 0, SYN)
        self.back(b"", -1, 0, SYN | ACK)
        self.out(b"", 0, 0, ACK)

    def out(self, data: bytes, seq: int, ack: int, flags: int = ACK | PSH) -> tuple[int, int, bytes]:
        """Seq, ack and data of a segment of the phone as it leaves."""
        packet = ip.tcp(PHONE, SERVER, data, seq=SEQ + seq, ack=ACKED + ack, flags=flags)
        left = self.router.crossed(packet, Side.INSIDE)
        assert left.source == PUBLIC
        return left.seq - SEQ, left.ack - ACKED, left.payload

    def back(self, data: bytes, seq: int, ack: int, flags: int = ACK | PSH) -> tuple[int, int, bytes]:
        packet = ip.tcp(SERVER, PUBLIC, data, seq=ACKED + seq, ack=SEQ + ack, flags=flags)
        came = self.router.crossed(packet, Side.OUTSIDE)
        assert came.destination == PHONE
        return came.seq - ACKED, came.ack - SEQ, came.payload


@pytest.fixture
def segment_line(new_router: RouterMaker) -> Line:
    return Line(router_of(new_router, correct(tcp="segment")))


def test_a_whole_message_is_translated_and_the_numbers_follow_both_ways(segment_line: Line) -> None:
    line = segment_line
    assert line.out(MESSAGE, 0, 0) == (0, 0, GROWN)
    assert line.back(b"", 0, len(GROWN), ACK) == (0, len(MESSAGE), b"")
    # Coming in it shrinks.
    assert line.back(GROWN, 0, len(GROWN)) == (0, len(MESSAGE), MESSAGE)
    assert line.out(b"", len(MESSAGE), len(MESSAGE), ACK) == (len(GROWN), len(GROWN), b"")
    assert line.out(MESSAGE, len(MESSAGE), len(MESSAGE)) == (len(GROWN), len(GROWN), GROWN)
    assert line.back(GROWN, len(GROWN), 2 * len(GROWN)) == (len(MESSAGE), 2 * len(MESSAGE), MESSAGE)


@pytest.mark.parametrize("cut", [1, 3, 30, HALF, len(MESSAGE) - 3, len(MESSAGE) - 1])
def test_a_message_in_two_segments_passes_part_by_part(segment_line: Line, cut: int) -> None:
    line = segment_line
    assert line.out(MESSAGE[:cut], 0, 0) == (0, 0, MESSAGE[:cut])
    assert line.out(MESSAGE[cut:], cut, 0) == (cut, 0, MESSAGE[cut:])
    # The next one is whole again.
    assert line.out(MESSAGE, len(MESSAGE), 0) == (len(MESSAGE), 0, GROWN)
    at = len(GROWN) + len(MESSAGE)
    assert line.out(MESSAGE[:cut], 2 * len(MESSAGE), 0) == (at, 0, MESSAGE[:cut])


def test_the_rest_of_one_and_a_whole_one_in_one_segment(segment_line: Line) -> None:
    line = segment_line
    line.out(MESSAGE[:HALF], 0, 0)
    assert line.out(MESSAGE[HALF:] + MESSAGE, HALF, 0) == (HALF, 0, MESSAGE[HALF:] + GROWN)
    end = 2 * len(MESSAGE)
    # Then a whole message and the beginning of another, and a body that looks like a message.
    body = MESSAGE.replace(b"Content-Length: 0", b"Content-Length: %d" % len(MESSAGE))
    assert line.out(MESSAGE + body, end, 0)[2] == GROWN + body
    assert line.out(MESSAGE, end + len(MESSAGE) + len(body), 0)[2] == MESSAGE


def test_retransmissions(segment_line: Line) -> None:
    line = segment_line
    line.out(MESSAGE, 0, 0)
    assert line.out(MESSAGE, 0, 0) == (0, 0, GROWN)
    line.out(MESSAGE[:HALF], len(MESSAGE), 0)
    line.out(MESSAGE[HALF:], len(MESSAGE) + HALF, 0)
    # A retransmission with both halves in one segment: bytes that passed unchanged once pass so again.
    assert line.out(MESSAGE, len(MESSAGE), 0) == (len(GROWN), 0, MESSAGE)
    assert line.out(2 * MESSAGE, 0, 0) == (0, 0, GROWN + MESSAGE)
    fin = line.out(b"", 2 * len(MESSAGE), 0, FIN | ACK)
    assert fin[0] == len(GROWN) + len(MESSAGE)


def test_unadjusted_numbers(new_router: RouterMaker) -> None:
    line = Line(router_of(new_router, correct(tcp="unadjusted")))
    assert line.out(MESSAGE, 0, 0) == (0, 0, GROWN)
    # The server acknowledges more than the phone sent, and treats the next message as an old one.
    assert line.back(b"", 0, len(GROWN), ACK) == (0, len(GROWN), b"")
    assert line.out(MESSAGE, len(MESSAGE), 0) == (len(MESSAGE), 0, GROWN)
    assert line.out(MESSAGE[:HALF], 2 * len(MESSAGE), 0) == (2 * len(MESSAGE), 0, MESSAGE[:HALF])
    assert line.back(GROWN, 0, len(GROWN)) == (0, len(GROWN), MESSAGE)


@pytest.mark.parametrize("growth", ["fragment", "drop", "obey-df"])
def test_an_unadjusted_segment_that_outgrows_the_mtu(new_router: RouterMaker, growth: str) -> None:
    router = router_of(new_router, correct(tcp="unadjusted", growth=growth))
    Line(router)
    message = options(1460 - len(MESSAGE), "TCP")
    packet = ip.tcp(PHONE, SERVER, message, seq=SEQ, ack=ACKED)
    assert len(packet) == 1500
    if growth != "fragment":
        assert router.fate(packet, Side.INSIDE) is Fate.OUTGREW_MTU
    else:
        left = router.crossed(packet, Side.INSIDE)
        assert (left.payload, left.dont_fragment) == (translated(message), False)


def test_keep_alives_in_a_stream_are_no_datagrams(new_router: RouterMaker) -> None:
    line = Line(router_of(new_router, correct(non_sip="drop")))
    assert line.out(b"\r\n\r\n", 0, 0) == (0, 0, b"\r\n\r\n")


def test_tcp_can_be_left_alone(new_router: RouterMaker) -> None:
    router = router_of(new_router, correct(transports=frozenset({"udp"})))
    assert Line(router).out(MESSAGE, 0, 0) == (0, 0, MESSAGE)
    assert router.gateway.connections == 0
    assert b"203.0.113.7" in router.send(PHONE, SERVER, options()).payload


# -- TCP without reassembly, over a hostile network ------------------------------------------------


class SegmentNetwork(Network):
    """The stream editor's network, with an editor that holds nothing back.

    The network decides which messages are whole in a segment, so each may arrive unchanged or rewritten.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        openings = self.editor._openings
        streams = self.editor._streams
        self.editor = TcpEditor(self.rewrite, hold=False)
        self.editor._openings, self.editor._streams = openings, streams
        self.seen: dict[bool, dict[int, int]] = {True: {}, False: {}}

    def check(self, way: bool, packet: ip.Packet) -> None:
        """Check that a byte sent at a position never becomes another byte later."""
        receiver = self.peers[not way]
        begin = near(packet.seq, self.isn[way] + 1 + receiver.expected) - self.isn[way] - 1
        for at, byte in enumerate(packet.payload, begin):
            assert self.seen[way].setdefault(at, byte) == byte

    def finish(self, size: int, window: int, *, retransmit: bool) -> None:
        for _ in range(3000):
            self.drain()
            if self.editor.closed and all(peer.done for peer in self.peers.values()):
                break
            for way, peer in self.peers.items():
                fresh = peer.send(size, window)
                if not fresh and retransmit:
                    fresh = peer.retransmit(size)
                self.links[way, True] += fresh
        assert self.editor.closed
        for way in (True, False):
            assert self.arrived_as_some_of_them(way)

    def arrived_as_some_of_them(self, way: bool) -> bool:
        """Whether all messages arrived in order, each as the peer sent it or as the editor rewrote it."""
        got = bytes(self.peers[not way].got)
        ends = {0}
        for old, new in self.streams[way]:
            became = [new or b""] if old in self.rewritten[way] else [old]
            ends = {at + len(text) for at in ends for text in became if got.startswith(text, at)}
        return len(got) in ends


@given(run=RUNS)
@settings(max_examples=150, deadline=None)
def test_an_editor_without_reassembly_keeps_the_streams_whole(run: Run) -> None:
    network = SegmentNetwork(run)
    network.play(run.actions, run.window)
    network.finish(max(run.size, 20), run.window, retransmit=True)


@given(cuts=st.lists(st.integers(0, 3 * len(MESSAGE)), max_size=6), keep_alive=st.booleans())
def test_exactly_the_messages_that_are_whole_in_a_segment_are_rewritten(
    cuts: list[int], keep_alive: bool
) -> None:
    text = MESSAGE + (b"\r\n\r\n" if keep_alive else b"") + 2 * MESSAGE
    bounds = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    rewritten: list[bytes] = []

    def rewrite(old: bytes, outbound: bool) -> bytes:
        rewritten.append(old)
        return old

    editor = TcpEditor(rewrite, hold=False)
    editor.handle(parse(ip.tcp(PHONE, SERVER, seq=0, flags=SYN)), True)
    editor.handle(parse(ip.tcp(SERVER, PHONE, seq=0, ack=1, flags=SYN | ACK)), False)
    for begin, end in pairwise(bounds):
        editor.handle(parse(ip.tcp(PHONE, SERVER, text[begin:end], seq=1 + begin, ack=1)), True)
    at, whole = 0, 0
    for piece, _ in split_stream(text):
        inner = any(at < bound < at + len(piece) for bound in bounds)
        whole += bool(piece.strip()) and not inner
        at += len(piece)
    assert sum(old == MESSAGE for old in rewritten) == whole
    assert all(not old.strip() for old in rewritten if old != MESSAGE)
