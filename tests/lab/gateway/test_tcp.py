"""The TCP editor, packet by packet. test_tcp_network.py runs two whole endpoints through it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siplab.lab.gateway.tcp import TcpEditor
from siplab.lab.wire.ip import ACK, FIN, PSH, RST, SYN, Endpoint, Packet, parse, tcp, verify
from siplab.lab.wire.tcp_segment import near
from tests.lab.gateway.tcp_network import IN, MASK, OUT, PHONE, SERVER, Change, grow, message, same, shrink

MSS_1460, SACK_PERMITTED, WSCALE_7 = b"\x02\x04\x05\xb4", b"\x04\x02", b"\x01\x03\x03\x07"


class Wire:
    """An editor, with helpers for tests: relative sequence numbers, checked packets."""

    def __init__(
        self,
        change: Change = same,
        *,
        isn: tuple[int, int] = (1000, 5000),
        options: bytes = MSS_1460,
        handshake: bool = True,
        max_message: int = 65535,
    ) -> None:
        self.seen: list[bytes] = []
        self.change = change
        self.editor = TcpEditor(self.rewrite, max_message=max_message)
        self.isn = {OUT: isn[0], IN: isn[1]}
        if handshake:
            self.raw(self.packet(OUT, seq=-1, ack=None, flags=SYN, options=options), OUT)
            self.raw(self.packet(IN, seq=-1, ack=0, flags=SYN | ACK, options=options), IN)
            self.raw(self.packet(OUT, seq=0, ack=0), OUT)

    def rewrite(self, old: bytes, outbound: bool) -> bytes | None:
        self.seen.append(old)
        return self.change(old)

    def packet(
        self,
        way: bool,
        data: bytes = b"",
        *,
        seq: int,
        ack: int | None,
        flags: int = ACK,
        window: int = 4000,
        options: bytes = b"",
    ) -> Packet:
        """A packet; numbers count from the first byte of data."""
        ends = (PHONE, SERVER) if way else (SERVER, PHONE)
        return parse(
            tcp(
                *ends,
                data,
                seq=self.isn[way] + 1 + seq,
                ack=0 if ack is None else self.isn[not way] + 1 + ack,
                flags=flags,
                window=window,
                options=options,
            )
        )

    def raw(self, packet: Packet, way: bool) -> list[tuple[bool, Packet]]:
        emitted = self.editor.handle(packet, way)
        for onward, each in emitted:
            assert verify(bytes(each)) == []
            assert (each.source == packet.source) is onward
        return emitted

    def send(
        self, way: bool, data: bytes = b"", *, seq: int, ack: int = 0, flags: int = ACK, window: int = 4000
    ) -> list[tuple[bool, int, int, int, bytes]]:
        """The output for a segment: (onward, seq, ack, flags, data), numbers from the first byte."""
        emitted = self.raw(self.packet(way, data, seq=seq, ack=ack, flags=flags, window=window), way)
        found = []
        for onward, each in emitted:
            own = way if onward else not way
            found.append(
                (
                    onward,
                    near(each.seq, self.isn[own]) - self.isn[own] - 1,
                    near(each.ack, self.isn[not own]) - self.isn[not own] - 1,
                    each.flags,
                    each.payload,
                )
            )
        return found


# -- numbers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("reference", [0, 5, 2**31, 2**32 - 1, 2**32, 2**33 + 7])
@pytest.mark.parametrize("step", [0, 1, -1, 2**31 - 1, -(2**31)])
def test_near_finds_the_closest_position(reference: int, step: int) -> None:
    assert near((reference + step) & MASK, reference) == reference + step


@pytest.mark.parametrize("isn", [(1000, 5000), (2**32 - 2, 2**32 - 100), (2**32 - 1, 0), (2**31 - 3, 2**31)])
def test_growth_shifts_what_follows_and_its_acks(isn: tuple[int, int]) -> None:
    wire = Wire(grow, isn=isn)
    first, second = message("a"), message("b")
    size = len(first)
    assert wire.send(OUT, first, seq=0, flags=ACK | PSH) == [(True, 0, 0, ACK | PSH, grow(first))]
    assert wire.send(OUT, second, seq=size) == [(True, size + 6, 0, ACK, grow(second))]
    assert wire.send(IN, seq=0, ack=size + 6) == [(True, 0, size, ACK, b"")]
    # For a position inside a rewritten message, only the beginning of the message is known.
    assert wire.send(IN, seq=0, ack=size + 50) == [(True, 0, size, ACK, b"")]
    assert wire.send(IN, seq=0, ack=2 * size + 12) == [(True, 0, 2 * size, ACK, b"")]
    # The other direction keeps its numbers, and the ACK that it carries is mapped.
    assert wire.send(IN, b"\r\n", seq=0, ack=2 * size + 12) == [(True, 0, 2 * size, ACK, b"\r\n")]
    assert wire.send(OUT, seq=2 * size, ack=2) == [(True, 2 * size + 12, 2, ACK, b"")]
    assert wire.seen == [first, second, b"\r\n"]


def test_both_directions_are_shifted_each_by_its_own() -> None:
    wire = Wire(lambda old: grow(old) if b"sip:a" in old else shrink(old))
    out, back = message("a"), message("b")
    wire.send(OUT, out, seq=0)
    got = wire.send(IN, back, seq=0, ack=len(out) + 6)
    assert got == [(True, 0, len(out), ACK, shrink(back))]
    got = wire.send(OUT, out, seq=len(out), ack=len(back) - 7)
    assert got == [(True, len(out) + 6, len(back), ACK, grow(out))]


def test_shrinking() -> None:
    wire = Wire(shrink)
    first, second = message("a"), message("b")
    size = len(first)
    assert wire.send(OUT, first, seq=0) == [(True, 0, 0, ACK, shrink(first))]
    assert wire.send(OUT, second, seq=size) == [(True, size - 7, 0, ACK, shrink(second))]
    assert wire.send(IN, seq=0, ack=size - 7) == [(True, 0, size, ACK, b"")]
    assert wire.send(IN, seq=0, ack=2 * size - 14) == [(True, 0, 2 * size, ACK, b"")]


def test_a_dropped_message_is_acknowledged_by_the_editor() -> None:
    wire = Wire(lambda old: None if b"sip:b" in old else old)
    a, b, c = message("a"), message("b"), message("c")
    assert wire.send(OUT, b, seq=0) == [(False, 0, len(b), ACK, b"")]
    # If earlier output is still in flight, the receiver's ACK of that is enough.
    assert wire.send(OUT, a + b, seq=len(b)) == [(True, 0, 0, ACK, a)]
    assert wire.send(IN, seq=0, ack=len(a)) == [(True, 0, len(a + b + b), ACK, b"")]
    assert wire.send(OUT, c, seq=len(a + b + b)) == [(True, len(a), 0, ACK, c)]
    # The dropped message is retransmitted because its ACK was lost on the way back.
    assert wire.send(IN, seq=0, ack=len(a + c)) == [(True, 0, len(a + b + b + c), ACK, b"")]
    assert wire.seen == [b, a, b, c]


# -- framing -----------------------------------------------------------------------------------

SPLIT = message("split", b"v=0\r\no=- 1\r\n")
PLACES = {
    "header name": (SPLIT.index(b"Via") + 1, SPLIT.index(b"Content-Length") + 7),
    "between CR and LF": (SPLIT.index(b"\r\n") + 1, SPLIT.index(b"\r\n\r\n") + 3),
    "inside the blank line": (SPLIT.index(b"\r\n\r\n") + 1, SPLIT.index(b"\r\n\r\n") + 2),
    "in the body": (SPLIT.index(b"v=0") + 1, len(SPLIT) - 1),
    "in the start line": (1, SPLIT.index(b"SIP/2.0") + 5),
    "number in Content-Length": (SPLIT.index(b"Length: ") + 9, SPLIT.index(b"v=0")),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("change", [same, grow, shrink])
def test_message_in_three_segments(place: str, change: Change) -> None:
    wire = Wire(change)
    one, two = PLACES[place]
    size = len(SPLIT)
    wire.send(IN, b"\r\n", seq=0, window=777)
    # The bytes are held, and acknowledged with the server's numbers and window, so that the sender goes on.
    assert wire.send(OUT, SPLIT[:one], seq=0) == [(False, 2, one, ACK, b"")]
    assert wire.editor.handle(wire.packet(OUT, SPLIT[:one], seq=0, ack=0), OUT)[0][1].transport[14:16] == (
        777
    ).to_bytes(2, "big")
    assert wire.send(OUT, SPLIT[one:two], seq=one, ack=0) == [(False, 2, two, ACK, b"")]
    assert wire.send(OUT, SPLIT[two:], seq=two, ack=2, flags=ACK | PSH) == [
        (True, 0, 2, ACK | PSH, change(SPLIT))
    ]
    assert wire.seen == [b"\r\n", SPLIT]
    # Bytes that were acknowledged for the receiver stay acknowledged, however few of them it has.
    assert wire.send(IN, seq=2, ack=0) == [(True, 2, two, ACK, b"")]
    assert wire.send(OUT, b"gap", seq=size + 9) == [(False, 2, two, ACK, b"")]
    # The sender retransmits only the last part; the receiver still gets everything that it lacks.
    assert wire.send(OUT, SPLIT[two:], seq=two, ack=2) == [(True, 0, 2, ACK, change(SPLIT))]
    assert wire.send(IN, seq=2, ack=len(change(SPLIT) or b"")) == [(True, 2, size, ACK, b"")]


def test_an_ack_on_a_held_segment_still_goes_on() -> None:
    wire = Wire()
    wire.send(IN, b"\r\n", seq=0)
    assert wire.send(OUT, SPLIT[:9], seq=0, ack=2) == [(True, 0, 2, ACK, b""), (False, 2, 9, ACK, b"")]
    assert wire.send(OUT, SPLIT[9:20], seq=9, ack=2) == [(False, 2, 20, ACK, b"")]
    # A new window is passed on, and so is every ACK without data, with the receiver's numbers.
    assert wire.send(OUT, SPLIT[20:30], seq=20, ack=2, window=9)[0] == (True, 0, 2, ACK, b"")
    assert wire.send(OUT, seq=30, ack=2, window=9) == [(True, 0, 2, ACK, b"")]
    assert wire.send(OUT, seq=20, ack=2, window=9) == [(True, 0, 2, ACK, b"")]


def test_two_messages_in_one_segment() -> None:
    wire = Wire(grow)
    a, b = message("a"), message("b")
    assert wire.send(OUT, a + b, seq=0) == [(True, 0, 0, ACK, grow(a) + grow(b))]
    assert wire.seen == [a, b]
    assert wire.send(IN, seq=0, ack=len(a) + 6) == [(True, 0, len(a), ACK, b"")]
    assert wire.send(IN, seq=0, ack=len(a + b) + 11) == [(True, 0, len(a), ACK, b"")]
    assert wire.send(IN, seq=0, ack=len(a + b) + 12) == [(True, 0, len(a + b), ACK, b"")]


def test_the_end_of_one_and_the_begin_of_the_next_in_one_segment() -> None:
    wire = Wire(grow)
    a, b = message("a"), message("b")
    assert wire.send(OUT, a + b[:20], seq=0) == [(True, 0, 0, ACK, grow(a))]
    # Held bytes are not acknowledged while the receiver lacks earlier output ...
    assert wire.send(OUT, b[20:30], seq=len(a) + 20) == []
    # ... but as soon as it has that.
    assert wire.send(IN, seq=0, ack=len(a) + 6) == [(True, 0, len(a) + 30, ACK, b"")]
    assert wire.send(OUT, b[30:], seq=len(a) + 30) == [(True, len(a) + 6, 0, ACK, grow(b))]


def test_keep_alives_between_messages() -> None:
    wire = Wire(grow)
    a = message("a")
    assert wire.send(OUT, b"\r\n\r\n", seq=0) == [(True, 0, 0, ACK, b"\r\n\r\n")]
    assert wire.send(OUT, b"\r\n" + a + b"\r", seq=4) == [(True, 4, 0, ACK, b"\r\n" + grow(a) + b"\r")]
    assert wire.seen == [b"\r\n\r\n", b"\r\n", a, b"\r"]


def test_output_is_cut_by_the_receivers_mss() -> None:
    wire = Wire(grow, options=b"\x02\x04\x00\x64")
    text = message("a", filler=120)
    new = grow(text)
    parts = [new[at : at + 100] for at in range(0, len(new), 100)]
    assert len(parts) == 3
    for begin in (0, 100):
        assert wire.send(OUT, text[begin : begin + 100], seq=begin)[0][0] is False
    assert wire.send(OUT, text[200:], seq=200, flags=ACK | PSH) == [
        (True, 100 * n, 0, ACK | (PSH if n == 2 else 0), part) for n, part in enumerate(parts)
    ]
    # The receiver got one piece: only the rest is sent again, and only the original's end is requested.
    assert wire.send(IN, seq=0, ack=100) == [(True, 0, 200, ACK, b"")]
    assert wire.send(OUT, text[200:], seq=200) == [
        (True, 100, 0, ACK, parts[1]),
        (True, 200, 0, ACK, parts[2]),
    ]


@pytest.mark.parametrize(("ip", "mss"), [("203.0.113.5", 536), ("2001:db8::5", 1220)])
def test_default_mss(ip: str, mss: int) -> None:
    editor = TcpEditor(lambda old, way: old)
    phone = Endpoint("192.168.1.10" if mss == 536 else "2001:db8::10", 5060)
    server = Endpoint(ip, 5060)
    editor.handle(parse(tcp(phone, server, seq=1, flags=SYN)), OUT)
    editor.handle(parse(tcp(server, phone, seq=1, ack=2, flags=SYN | ACK)), IN)
    text = message("a", filler=1300)
    for at in range(0, 1200, 400):
        editor.handle(parse(tcp(phone, server, text[at : at + 400], seq=2 + at, ack=2)), OUT)
    emitted = editor.handle(parse(tcp(phone, server, text[1200:], seq=1202, ack=2)), OUT)
    assert [len(each.payload) for _, each in emitted[:-1]] == [mss] * (len(text) // mss)
    assert b"".join(each.payload for _, each in emitted) == text
    assert all(verify(bytes(each)) == [] for _, each in emitted)


def test_a_segment_larger_than_the_mss_stays_whole() -> None:
    """Senders with segmentation offload make such segments."""
    wire = Wire()
    text = message("a", b"x" * 5000)
    assert wire.send(OUT, text, seq=0) == [(True, 0, 0, ACK, text)]


def test_a_smaller_path_is_respected() -> None:
    wire = Wire(grow)
    text = message("a", filler=400)
    wire.editor.limit_mtu(340, OUT)
    wire.send(OUT, text[:200], seq=0)
    wire.send(OUT, text[200:400], seq=200)
    assert [len(each[4]) for each in wire.send(OUT, text[400:], seq=400)] == [300, len(text) + 6 - 300]
    Wire(handshake=False).editor.limit_mtu(340, OUT)


def test_options_come_out_of_the_mss_and_own_acks_have_timestamps() -> None:
    def stamp(value: int, echo: int) -> bytes:
        return b"\x01\x01\x08\x0a" + value.to_bytes(4, "big") + echo.to_bytes(4, "big")

    wire = Wire(grow, options=MSS_1460 + stamp(2**32 - 2, 0))
    text = message("a", filler=1440)
    wire.raw(wire.packet(IN, seq=0, ack=0, options=stamp(1, 0)), IN)
    wire.raw(wire.packet(IN, seq=0, ack=0, options=stamp(2**32 - 1, 0)), IN)  # late: not the newest
    ((onward, own),) = wire.raw(wire.packet(OUT, text[:1448], seq=0, ack=0, options=stamp(7, 0)), OUT)
    assert not onward
    assert own.transport[20:] == stamp(1, 7)
    emitted = wire.raw(wire.packet(OUT, text[1448:], seq=1448, ack=0, options=stamp(8, 0)), OUT)
    assert [len(each.payload) for _, each in emitted] == [1448, len(text) + 6 - 1448]


# -- retransmission ----------------------------------------------------------------------------


def test_retransmission_before_and_after_the_ack() -> None:
    wire = Wire(grow)
    a, b = message("a"), message("b")
    size = len(a)
    once = wire.send(OUT, a, seq=0)
    assert wire.send(OUT, a, seq=0) == once
    wire.send(OUT, b, seq=size)
    assert wire.send(OUT, a, seq=0) == once
    assert wire.send(IN, seq=0, ack=size + 6) == [(True, 0, size, ACK, b"")]
    # The ACK was lost between editor and sender, so the editor makes the receiver repeat it.
    assert wire.send(OUT, a, seq=0) == [(True, 6, 0, ACK, b"")]
    assert wire.send(OUT, b, seq=size) == [(True, size + 6, 0, ACK, grow(b))]
    assert wire.seen == [a, b]


def test_retransmission_after_the_ack_passes_as_it_is_while_nothing_was_changed() -> None:
    wire = Wire()
    a = message("a")
    for _ in range(2):
        assert wire.send(OUT, a, seq=0) == [(True, 0, 0, ACK, a)]
        wire.send(IN, seq=0, ack=len(a))


def test_retransmission_with_other_boundaries() -> None:
    wire = Wire(grow)
    a, b, c = message("a"), message("b"), message("c")
    size = len(a)
    wire.send(OUT, a, seq=0)
    wire.send(OUT, b + c[:10], seq=size)
    # All in one segment, with new bytes: one piece of output, the new bytes once.
    assert wire.send(OUT, a + b + c, seq=0) == [(True, 0, 0, ACK, grow(a) + grow(b) + grow(c))]
    # A part of a message: all output of that message.
    assert wire.send(OUT, a[:10], seq=0) == [(True, 0, 0, ACK, grow(a))]
    middle = (a + b)[size - 3 : size + 3]
    assert wire.send(OUT, middle, seq=size - 3) == [(True, 0, 0, ACK, grow(a) + grow(b))]
    # Without the bytes that the receiver has: it acknowledged half of b.
    assert wire.send(IN, seq=0, ack=size + 56) == [(True, 0, size, ACK, b"")]
    got = wire.send(OUT, (a + b + c)[5 : 2 * size + 5], seq=5)
    assert got == [(True, size + 56, 0, ACK, grow(b)[50:] + grow(c))]
    assert wire.seen == [a, b, c]


def test_partial_ack_of_an_unchanged_message_is_exact() -> None:
    wire = Wire()
    a = message("a")
    wire.send(OUT, a, seq=0)
    assert wire.send(IN, seq=0, ack=33) == [(True, 0, 33, ACK, b"")]
    assert wire.send(OUT, a[33:], seq=33) == [(True, 33, 0, ACK, a[33:])]


def test_a_segment_ahead_of_a_gap_is_dropped_with_a_duplicate_ack() -> None:
    wire = Wire(grow)
    a, b = message("a"), message("b")
    assert wire.send(OUT, b, seq=len(a)) == [(False, 0, 0, ACK, b"")]
    assert wire.send(OUT, b"", seq=2 * len(a), flags=ACK | FIN) == [(False, 0, 0, ACK, b"")]
    assert wire.send(OUT, a, seq=0) == [(True, 0, 0, ACK, grow(a))]
    assert wire.send(OUT, b, seq=len(a)) == [(True, len(a) + 6, 0, ACK, grow(b))]


def test_nagle_sender_gets_on() -> None:
    """A sender that sends a small tail only when all before it is acknowledged."""
    wire = Wire(grow)
    text = message("a", filler=1500)
    waiting, unacked, at = text, 0, 0
    output: list[bytes] = []
    while waiting:
        assert len(waiting) >= 1460 or not unacked, "stalled"
        chunk, waiting = waiting[:1460], waiting[1460:]
        unacked += len(chunk)
        for onward, _, ack, _, data in wire.send(OUT, chunk, seq=at):
            if onward:
                output.append(data)
            else:
                unacked = at + len(chunk) - ack
        at += len(chunk)
    assert b"".join(output) == grow(text)


def test_keep_alive_and_window_probes_reach_the_receiver() -> None:
    wire = Wire(grow)
    a = message("a")
    size = len(a)
    wire.send(OUT, a, seq=0)
    wire.send(IN, seq=0, ack=size + 6)
    assert wire.send(OUT, seq=size - 1) == [(True, size + 5, 0, ACK, b"")]
    assert wire.send(OUT, b"\0", seq=size - 1) == [(True, size + 5, 0, ACK, b"")]
    wire.send(OUT, a[:9], seq=size)
    assert wire.send(OUT, seq=size + 8) == [(True, size + 5, 0, ACK, b"")]
    # A zero-window probe with a new byte is data like any other.
    assert wire.send(IN, seq=0, ack=size + 6, window=0) == [(True, 0, size + 9, ACK, b"")]
    assert wire.send(OUT, a[9:10], seq=size + 9) == [(False, 0, size + 10, ACK, b"")]
    assert wire.send(OUT, a[10:], seq=size + 10) == [(True, size + 6, 0, ACK, grow(a))]
    untouched = Wire()
    assert untouched.send(OUT, b"\0", seq=-1) == [(True, -1, 0, ACK, b"\0")]


def test_late_and_impossible_acks() -> None:
    wire = Wire(grow)
    a = message("a")
    size = len(a)
    wire.send(OUT, a + a, seq=0)
    wire.send(IN, seq=0, ack=size + 6)
    assert wire.send(IN, seq=0, ack=0)[0][2] < size  # a late ACK stays an old one
    assert wire.send(IN, seq=0, ack=2 * size + 13)[0][2] == 2 * size + 1  # an ACK of bytes never sent
    assert wire.send(OUT, a, seq=size) == [(True, size + 6, 0, ACK, grow(a))]


def test_stored_output_is_bounded() -> None:
    wire = Wire()
    block = message("a", b"x" * 60000)
    at = 0
    while wire.send(OUT, block, seq=at)[0][0]:
        at += len(block)
    assert 2**20 < at < 2**20 + 2 * len(block)
    # Stored output can still be repeated; new bytes come again when there is room.
    again = wire.send(OUT, block[-2000:] + block[:2000], seq=at - 2000)
    assert again[0][1] == at - len(block)
    assert b"".join(each[4] for each in again) == block
    wire.send(IN, seq=0, ack=at)
    assert wire.send(OUT, block, seq=at) == [(True, at, 0, ACK, block)]


# -- beginning and end -------------------------------------------------------------------------


def test_sack_permitted_is_blanked_out() -> None:
    wire = Wire(handshake=False)
    options = MSS_1460 + SACK_PERMITTED + b"\x08\x0a" + bytes(8) + WSCALE_7
    for way, flags in ((OUT, SYN), (IN, SYN | ACK)):
        packet = wire.packet(way, seq=-1, ack=0, flags=flags, options=options)
        ((_, got),) = wire.raw(packet, way)
        assert got.transport[20:] == options.replace(SACK_PERMITTED, b"\x01\x01")
        bare = wire.packet(way, seq=-1, ack=0, flags=flags, options=MSS_1460)
        assert wire.raw(bare, way) == [(True, bare)]


@pytest.mark.parametrize(
    "options", [b"\x02\x00\x00\x00", b"\x04\x03\x01\x02", b"\x01\x01\x01\x02", b"\0\4\2\1"]
)
def test_broken_options_are_left_alone(options: bytes) -> None:
    wire = Wire(handshake=False)
    packet = wire.packet(OUT, seq=-1, ack=None, flags=SYN, options=options)
    assert wire.raw(packet, OUT) == [(True, packet)] or options[0] == 4


def test_own_ack_before_the_peer_sent_data_has_a_scaled_window() -> None:
    wire = Wire(options=MSS_1460 + WSCALE_7)
    ((onward, own),) = wire.raw(wire.packet(OUT, SPLIT[:9], seq=0, ack=0), OUT)
    assert not onward
    assert int.from_bytes(own.transport[14:16], "big") == 4000 >> 7


def test_payload_in_the_syn() -> None:
    wire = Wire(grow, handshake=False)
    a = message("a")
    size = len(a)
    syn = wire.packet(OUT, a, seq=-1, ack=None, flags=SYN, options=MSS_1460)
    assert wire.raw(syn, OUT) == [(True, syn)]
    took = wire.packet(IN, seq=-1, ack=size, flags=SYN | ACK)
    assert wire.raw(took, IN) == [(True, took)]
    assert wire.send(OUT, a, seq=size) == [(True, size, 0, ACK, grow(a))]
    refused = Wire(grow, handshake=False)
    refused.raw(syn, OUT)
    refused.raw(refused.packet(IN, seq=-1, ack=0, flags=SYN | ACK), IN)
    assert refused.send(OUT, a, seq=0) == [(True, 0, 0, ACK, grow(a))]


def test_retransmitted_syn_ack_starts_nothing_anew_but_another_connection_does() -> None:
    wire = Wire(grow)
    a = message("a")
    wire.send(OUT, a, seq=0)
    again = wire.packet(IN, seq=-1, ack=0, flags=SYN | ACK, window=1)
    assert wire.raw(again, IN) == [(True, again)]
    assert wire.send(OUT, a, seq=len(a)) == [(True, len(a) + 6, 0, ACK, grow(a))]
    wire.send(OUT, seq=2 * len(a), flags=RST)
    assert wire.editor.closed
    wire.isn = {OUT: 77, IN: 99}
    wire.raw(wire.packet(OUT, seq=-1, ack=None, flags=SYN), OUT)
    wire.raw(wire.packet(IN, seq=-1, ack=0, flags=SYN | ACK), IN)
    assert not wire.editor.closed
    assert wire.send(OUT, a, seq=0) == [(True, 0, 0, ACK, grow(a))]


def test_fin_with_data() -> None:
    wire = Wire(grow)
    a = message("a")
    size = len(a)
    end = (True, 0, 0, ACK | PSH | FIN, grow(a))
    assert wire.send(OUT, a, seq=0, flags=ACK | PSH | FIN) == [end]
    assert wire.send(OUT, a, seq=0, flags=ACK | PSH | FIN) == [end]
    # The sender now counts its FIN, but the receiver has only the message, not the FIN.
    assert wire.send(IN, seq=0, ack=size + 6) == [(True, 0, size, ACK, b"")]
    assert wire.send(OUT, a, seq=0, flags=ACK | FIN) == [(True, size + 6, 0, ACK | FIN, b"")]
    assert wire.send(OUT, seq=size, flags=ACK | FIN) == [(True, size + 6, 0, ACK | FIN, b"")]
    assert wire.send(IN, seq=0, ack=size + 7) == [(True, 0, size + 1, ACK, b"")]
    assert not wire.editor.closed
    # The other direction still works, and its ACK numbers count the FIN, too.
    assert wire.send(IN, a, seq=0, ack=size + 7) == [(True, 0, size + 1, ACK, grow(a))]
    assert wire.send(OUT, seq=size + 1, ack=size + 6) == [(True, size + 7, size, ACK, b"")]
    assert wire.send(IN, seq=size, ack=size + 7, flags=ACK | FIN) == [
        (True, size + 6, size + 1, ACK | FIN, b"")
    ]
    assert not wire.editor.closed
    assert wire.send(OUT, seq=size + 1, ack=size + 7) == [(True, size + 7, size + 1, ACK, b"")]
    assert wire.editor.closed
    # The last ACK was lost: the FIN comes again, and gets through to be acknowledged again.
    assert wire.send(IN, seq=size, ack=size + 7, flags=ACK | FIN)[0][:3] == (True, size + 6, size + 1)


def test_fin_behind_an_incomplete_message_lets_it_go_unchanged() -> None:
    wire = Wire(grow)
    a = message("a")
    wire.send(OUT, a + a[:30], seq=0)
    wire.send(IN, seq=0, ack=len(a) + 6)
    assert wire.send(OUT, seq=len(a) + 30, flags=ACK | FIN) == [(True, len(a) + 6, 0, ACK | FIN, a[:30])]
    assert wire.seen == [a]
    assert wire.send(IN, seq=0, ack=len(a) + 37) == [(True, 0, len(a) + 31, ACK, b"")]


def test_fin_goes_on_the_last_segment() -> None:
    wire = Wire(lambda old: old + b"y" * 3000)
    a = message("a")
    flags = [each[3] for each in wire.send(OUT, a, seq=0, flags=ACK | PSH | FIN)]
    assert flags == [ACK, ACK, ACK | PSH | FIN]


def test_rst() -> None:
    wire = Wire(grow)
    a = message("a")
    size = len(a)
    wire.send(OUT, a, seq=0)
    wire.send(OUT, a[:9], seq=size)
    assert not wire.editor.closed
    # The RST has the receiver's next number, although the sender's number counts the held bytes.
    assert wire.send(OUT, seq=size + 9, flags=RST | ACK) == [(True, size + 6, 0, RST | ACK, b"")]
    assert wire.editor.closed


def test_rst_of_the_receiver_who_got_half_and_an_rst_from_far_away() -> None:
    wire = Wire(grow)
    a = message("a")
    wire.send(OUT, a, seq=0)
    wire.send(IN, seq=0, ack=50)
    wire.send(OUT, seq=2**30, flags=RST)
    assert not wire.editor.closed
    assert wire.send(OUT, seq=10, flags=RST) == [(True, 50, 0, RST, b"")]
    assert wire.editor.closed


def test_refused_connection() -> None:
    wire = Wire(handshake=False)
    wire.raw(wire.packet(OUT, seq=-1, ack=None, flags=SYN), OUT)
    packet = parse(tcp(SERVER, PHONE, seq=0, ack=1001, flags=RST | ACK))
    assert wire.raw(packet, IN) == [(True, packet)]
    assert wire.editor.closed


# -- what is not edited ------------------------------------------------------------------------

TLS = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256))
HTTP = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"


@pytest.mark.parametrize("stream", [TLS, HTTP, b"\0\1\0\0\x21\x12\xa4\x42", b" INVITE", b"INVITE sip:a\r\n"])
@pytest.mark.parametrize("isn", [(1000, 5000), (2**32 - 3, 2**32 - 3)])
def test_what_is_not_sip_passes_byte_for_byte(stream: bytes, isn: tuple[int, int]) -> None:
    wire = Wire(grow, isn=isn)
    sip = message("a")  # too late
    conversation = [
        wire.packet(OUT, stream, seq=0, ack=0, flags=ACK | PSH),
        wire.packet(IN, stream, seq=0, ack=len(stream)),
        wire.packet(OUT, stream, seq=0, ack=0),
        wire.packet(OUT, sip, seq=len(stream), ack=len(stream)),
        wire.packet(OUT, sip, seq=len(stream + sip + sip), ack=len(stream)),  # out of order
        wire.packet(OUT, sip, seq=len(stream + sip), ack=len(stream)),
        wire.packet(IN, seq=len(stream), ack=len(stream) + 7),
        wire.packet(OUT, stream[3:] + sip, seq=3, ack=len(stream)),
        wire.packet(IN, b"", seq=len(stream), ack=len(stream + 3 * sip), flags=ACK | FIN),
        wire.packet(OUT, b"", seq=len(stream + 3 * sip), ack=len(stream) + 1, flags=ACK | FIN),
        wire.packet(IN, b"", seq=len(stream) + 1, ack=len(stream + 3 * sip) + 1),
    ]
    for packet in conversation:
        way = packet.source == PHONE
        assert [bytes(each) for _, each in wire.raw(packet, way)] == [bytes(packet)]
    assert wire.editor.closed
    assert wire.seen == []


def test_not_sip_after_sip_keeps_the_shift() -> None:
    wire = Wire(grow)
    a = message("a")
    size = len(a)
    wire.send(OUT, a + b"GE", seq=0)
    assert wire.send(OUT, HTTP[2:20], seq=size + 2) == [(True, size + 6, 0, ACK, HTTP[:20])]
    assert wire.send(OUT, HTTP[20:], seq=size + 20) == [(True, size + 26, 0, ACK, HTTP[20:])]
    assert wire.send(OUT, a, seq=size + len(HTTP)) == [(True, size + 6 + len(HTTP), 0, ACK, a)]
    # A retransmission across the point where editing ends: stored output, then the sender's own bytes.
    got = wire.send(OUT, (a + HTTP)[5:], seq=5)
    assert got == [(True, 0, 0, ACK, grow(a) + HTTP)]
    wire.send(IN, seq=0, ack=size + 6 + 20)
    assert wire.send(OUT, (a + HTTP)[5:], seq=5) == [(True, size + 26, 0, ACK, HTTP[20:])]
    got = wire.send(IN, seq=0, ack=size + 6 + len(HTTP))
    assert got == [(True, 0, size + len(HTTP), ACK, b"")]
    assert wire.seen == [a]


def test_too_long_a_message_passes_unmodified() -> None:
    a, long = message("a"), message("b", b"x" * 500)
    wire = Wire(grow, max_message=300)
    assert wire.send(OUT, a, seq=0) == [(True, 0, 0, ACK, grow(a))]
    wire.send(IN, seq=0, ack=len(a) + 6)
    assert wire.send(OUT, long[:299], seq=len(a)) == [(False, 0, len(a) + 299, ACK, b"")]
    got = wire.send(OUT, long[299:400], seq=len(a) + 299)
    assert got == [(True, len(a) + 6, 0, ACK, long[:400])]
    got = wire.send(OUT, long[400:] + a, seq=len(a) + 400)
    assert got == [(True, len(a) + 406, 0, ACK, long[400:] + a)]
    assert wire.seen == [a]


def test_messages_that_do_not_change_pass_byte_for_byte_with_all_acks() -> None:
    wire = Wire(isn=(2**32 - 200, 2**32 - 2))
    a, b = message("a"), message("b", b"body")
    size = len(a + b)
    for packet in (
        wire.packet(OUT, a, seq=0, ack=0, flags=ACK | PSH),
        wire.packet(OUT, b, seq=len(a), ack=0),
        wire.packet(IN, seq=0, ack=len(a) - 10),  # a part only
        wire.packet(IN, seq=0, ack=len(a) - 20),  # late
        wire.packet(IN, b, seq=0, ack=len(a), flags=ACK | PSH),
        wire.packet(OUT, b, seq=len(a), ack=len(b), window=2),  # again
        wire.packet(OUT, b"\r\n\r\n", seq=size, ack=len(b)),
        wire.packet(IN, seq=len(b), ack=size + 4),
        wire.packet(IN, seq=len(b) - 1, ack=size + 4),  # a probe
        wire.packet(OUT, b, seq=len(a), ack=len(b)),  # again, after the ACK
        wire.packet(OUT, a + b, seq=size + 4, ack=len(b), flags=ACK | PSH | FIN),
        wire.packet(IN, seq=len(b), ack=2 * size + 5),
        wire.packet(IN, a, seq=len(b), ack=2 * size + 5, flags=ACK | FIN),
        wire.packet(OUT, seq=2 * size + 5, ack=len(a + b) + 1),
    ):
        assert not wire.editor.closed
        got = wire.raw(packet, packet.source == PHONE)
        assert [(onward, bytes(each)) for onward, each in got] == [(True, bytes(packet))]
    assert wire.editor.closed


def test_a_connection_seen_from_its_middle_passes() -> None:
    wire = Wire(grow, handshake=False)
    a = message("a")
    for packet in (
        wire.packet(IN, a, seq=700, ack=400),
        wire.packet(OUT, a, seq=300, ack=700),
        wire.packet(OUT, a[10:], seq=310, ack=700),
        wire.packet(OUT, a + a, seq=300, ack=700),
        wire.packet(OUT, seq=300 + 2 * len(a), ack=700 + len(a)),
        wire.packet(IN, b"", seq=700 + len(a), ack=300 + 2 * len(a), flags=ACK | FIN),
        wire.packet(OUT, a, seq=300 + 2 * len(a), ack=701 + len(a), flags=ACK | FIN),
        wire.packet(IN, b"", seq=701 + len(a), ack=301 + 3 * len(a)),
    ):
        assert not wire.editor.closed
        way = packet.source == PHONE
        assert [bytes(each) for _, each in wire.raw(packet, way)] == [bytes(packet)]
    assert wire.editor.closed
    assert wire.seen == []


@given(texts=st.lists(st.binary(max_size=60), max_size=8), way=st.booleans())
def test_any_bytes_get_through(texts: list[bytes], way: bool) -> None:
    """The editor changes nothing here, and a FIN follows at the end."""
    wire = Wire()
    at, got = 0, b""
    for number, text in enumerate(texts):
        last = number == len(texts) - 1
        for onward, _, _, _, data in wire.send(way, text, seq=at, flags=ACK | (FIN if last else 0)):
            got += data if onward else b""
        at += len(text)
    assert got == b"".join(texts)
