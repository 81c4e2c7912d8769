"""IPv4 fragments: put together in every order, never from parts that contradict one another."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siplab.lab.gateway.fate import Fate
from siplab.lab.gateway.fragments import LIMIT, TIMEOUT, Reassembler
from siplab.lab.gateway.gateway import Emission, Side
from siplab.lab.wire import ip
from siplab.lab.wire.fragments import fragment_of, fragmented
from siplab.lab.wire.ip import MAX_PACKET, Endpoint, checksum, parse, verify

if TYPE_CHECKING:
    from tests.lab.gateway.conftest import RouterMaker

PHONE, SERVER = Endpoint("192.168.1.20", 40000), Endpoint("198.51.100.10", 7000)


def datagram(size: int, number: int = 7) -> list[bytes]:
    """A datagram of ``size`` payload bytes in fragments of 1,500 bytes."""
    payload = random.Random(size).randbytes(size)
    return fragmented(ip.udp(PHONE, SERVER, payload, dont_fragment=False), identification=number)


def whole(pieces: list[bytes]) -> bytes:
    """The packet that these fragments, in order, were cut from."""
    first = parse(pieces[0])
    payload = first.transport + first.payload + b"".join(parse(each).payload for each in pieces[1:])
    return ip.udp(PHONE, SERVER, payload[8:], dont_fragment=False)


def piece(offset: int, body: bytes, *, more: bool, number: int = 7) -> bytes:
    """One fragment with these bytes of the datagram."""
    head = bytes((0x45, 0)) + (20 + len(body)).to_bytes(2, "big") + number.to_bytes(2, "big")
    head += (offset // 8 | (0x2000 if more else 0)).to_bytes(2, "big") + bytes((64, 17))
    addresses = ip.pack_ip(PHONE.ip) + ip.pack_ip(SERVER.ip)
    return head + checksum(head + addresses).to_bytes(2, "big") + addresses + body


def add(reassembler: Reassembler, pieces: list[bytes], now: float = 0.0) -> list[bytes]:
    """The packets that these fragments make."""
    found = [reassembler.add(parse(each), each, now) for each in pieces]
    return [each for each in found if each is not None]


def without_id(packet: bytes) -> bytes:
    """A packet with Identification and header checksum blanked out."""
    return packet[:4] + b"\0\0" + packet[6:10] + b"\0\0" + packet[12:]


@given(size=st.sampled_from([1473, 3000, 9000, 65507]), order=st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_any_order_with_duplicates(size: int, order: random.Random) -> None:
    pieces = datagram(size)
    shuffled = pieces + order.choices(pieces, k=3)
    order.shuffle(shuffled)
    last = max(shuffled.index(each) for each in pieces)
    made = add(Reassembler(), shuffled[: last + 1])
    assert [without_id(each) for each in made] == [without_id(whole(pieces))]
    assert verify(made[0]) == []


def test_datagrams_are_told_apart_by_their_number() -> None:
    one, two = datagram(3000, 1), datagram(4000, 2)
    mixed = [each for pair in zip(one, two, strict=False) for each in pair] + two[len(one) :]
    made = add(Reassembler(), mixed)
    assert sorted(map(len, made)) == [3028, 4028]


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(piece(8, b"y" * 16, more=False), id="overlaps the tail"),
        pytest.param(piece(0, b"y" * 32, more=True), id="covers"),
        pytest.param(piece(16, b"", more=True), id="is empty"),
        pytest.param(piece(16, b"y" * 5, more=True), id="has no whole eight bytes"),
    ],
)
def test_contradictions_end_the_datagram(second: bytes) -> None:
    reassembler = Reassembler()
    assert add(reassembler, [piece(0, b"x" * 16, more=True), second]) == []
    assert add(reassembler, [piece(16, b"z" * 8, more=False)]) == []


def test_bytes_that_are_there_come_again() -> None:
    """Repeated bytes are ignored, whatever they are, even if they span two fragments that came in order."""
    known = [piece(0, b"x" * 16, more=True), piece(16, b"x" * 16, more=True)]
    rest = piece(32, b"z" * 8, more=False)
    (made,) = add(Reassembler(), [*known, rest])
    for again in (piece(8, b"y" * 8, more=True), piece(8, b"y" * 16, more=True)):
        assert add(Reassembler(), [*known, again, rest]) == [made]
    # If the two fragments came in another order, Linux treats such a repetition as a contradiction.
    assert add(Reassembler(), [*known[::-1], piece(8, b"y" * 16, more=True), rest]) == []


def test_a_fragment_that_ends_anywhere_counts_to_the_last_eight_bytes() -> None:
    (made,) = add(Reassembler(), [piece(0, b"x" * 13, more=True), piece(8, b"z" * 8, more=False)])
    assert made[20:] == b"x" * 8 + b"z" * 8


def test_a_transport_header_may_be_cut() -> None:
    """A first fragment need not have all of it (RFC 791); RFC 1858 is for filters without reassembly."""
    packet = ip.tcp(PHONE, SERVER, b"x" * 20, dont_fragment=False)
    parts = [
        fragment_of(packet, at, min(at + 8, 40), more=at < 32, identification=7) for at in range(0, 40, 8)
    ]
    (made,) = add(Reassembler(), parts)
    assert without_id(made) == without_id(packet)


def test_two_ends_end_the_datagram() -> None:
    first, end = piece(0, b"x" * 8, more=True), piece(16, b"x" * 8, more=False)
    assert add(Reassembler(), [end, piece(8, b"x" * 4, more=False), first]) == []
    assert add(Reassembler(), [end, piece(24, b"x" * 8, more=True), first]) == []
    assert add(Reassembler(), [piece(16, b"x" * 8, more=True), piece(8, b"x" * 4, more=False), first]) == []


def test_an_empty_fragment_takes_nothing_away() -> None:
    body = ip.udp(PHONE, SERVER, b"x" * 16, dont_fragment=False)[20:]
    pieces = [piece(at, body[at : at + 8], more=at < 16) for at in (0, 8, 16)]
    reassembler = Reassembler()
    # It ends the datagram that it belongs to; when the parts are sent again, they make a whole one.
    assert add(reassembler, [*pieces[:2], piece(8, b"", more=True)]) == []
    assert len(add(reassembler, pieces)) == 1


def test_larger_than_ip_allows() -> None:
    pieces = [piece(at, b"x" * 1480, more=True) for at in range(0, 65120, 1480)]
    assert add(Reassembler(), [*pieces, piece(65120, b"x" * (MAX_PACKET - 65120 + 1), more=False)]) == []


def test_what_is_missing_for_too_long_is_forgotten() -> None:
    first, second = datagram(2000)
    reassembler = Reassembler()
    assert add(reassembler, [first], now=10.0) == []
    assert add(reassembler, [second], now=10.0 + TIMEOUT) == []
    assert len(add(reassembler, [first], now=10.0 + TIMEOUT + 1)) == 1

    assert add(reassembler, [first], now=100.0) == []
    assert len(add(reassembler, [second], now=100.0 + TIMEOUT - 0.001)) == 1


def test_no_more_than_so_many_wait() -> None:
    reassembler = Reassembler()
    parts = [datagram(2000, number) for number in range(1, LIMIT + 2)]
    assert add(reassembler, [first for first, _ in parts]) == []
    assert len(add(reassembler, [last for _, last in reversed(parts)])) == LIMIT


def test_header_options_and_ttl_of_the_first_fragment_stay() -> None:
    """An option field filled with NOPs stays; the reserved and DF bits are cleared."""
    first, last = datagram(2000)
    longer = b"\x46" + first[1:2] + (len(first) + 4).to_bytes(2, "big") + first[4:10] + b"\0\0" + first[12:20]
    longer += b"\x01\x01\x01\x00"
    longer = longer[:10] + checksum(longer).to_bytes(2, "big") + longer[12:] + first[20:]
    (made,) = add(Reassembler(), [last, longer])
    assert made[20:24] == b"\x01\x01\x01\x00"
    assert made[6:8] == b"\0\0"
    assert verify(made) == []


# -- through the router ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1473, 9000, 65507])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_fragmented_datagram_crosses_both_ways(new_router: RouterMaker, size: int, reverse: bool) -> None:
    router = new_router()

    def cross(pieces: list[bytes], side: Side) -> Emission:
        *kept, last = (router.one(each, side) for each in (reversed(pieces) if reverse else pieces))
        assert {(each.side, each.fate) for each in kept} == {(None, Fate.FRAGMENT_KEPT)}
        assert last.side is side.other
        return last

    out = ip.parse(cross(datagram(size), Side.INSIDE).packet)
    assert (out.src, out.destination) == ("203.0.113.7", SERVER)
    assert out.payload == whole(datagram(size))[28:]
    back = ip.udp(SERVER, out.source, out.payload, dont_fragment=False)
    came = ip.parse(cross(fragmented(back, 576, identification=9), Side.OUTSIDE).packet)
    assert (came.destination, came.payload) == (PHONE, out.payload)


def test_fragmented_sip_is_inspected(correct_router: RouterMaker) -> None:
    contact = b"Contact: <sip:alice@192.168.1.20:40000>\r\n"
    text = b"OPTIONS sip:lab.test SIP/2.0\r\n" + contact + b"X: " + b"x" * 3000 + b"\r\n\r\n"
    router = correct_router()
    packet = ip.udp(PHONE, SERVER._replace(port=5060), text, dont_fragment=False)
    *_, last = (router.one(each, Side.INSIDE) for each in fragmented(packet))
    assert last.changed
    assert b"<sip:alice@203.0.113.7:40000>" in last.packet
