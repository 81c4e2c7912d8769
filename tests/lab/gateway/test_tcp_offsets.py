"""TCP as Linux edits it: segments in any order, and two offsets for each direction."""

from __future__ import annotations

import pytest

from siplab.lab.gateway.tcp_offsets import OffsetEditor
from siplab.lab.wire import ip
from siplab.lab.wire.ip import ACK, FIN, RST, SYN, Endpoint, Packet, parse
from siplab.lab.wire.tcp_segment import NOP, SACK, options_of

PHONE, SERVER = Endpoint("192.168.1.20", 5060), Endpoint("198.51.100.10", 5060)
OUT, IN = True, False
TOP = 1 << 32


def grown(data: bytes, _: bool) -> tuple[bytes | None, bool]:
    return None if b"!" in data else data.replace(b"x", b"xx"), b"?" not in data


class Wire:
    """Data grows by a byte for each ``x`` in it. With a ``?`` the growth is not counted; a ``!`` drops it."""

    def __init__(self, first: int = 1000) -> None:
        self.first = first
        self.editor = OffsetEditor()
        self.send(OUT, -1, 0, flags=SYN)
        self.send(IN, -1, 0, flags=SYN | ACK)

    def send(
        self, outbound: bool, seq: int, ack: int, data: bytes = b"", flags: int = ACK, options: bytes = b""
    ) -> Packet | None:
        """Numbers count from the first byte of data."""
        ends = (PHONE, SERVER) if outbound else (SERVER, PHONE)
        packet = ip.tcp(*ends, data, seq=self.first + seq, ack=self.first + ack, flags=flags, options=options)
        return self.editor.handle(parse(packet), outbound, grown)

    def out(self, seq: int, data: bytes) -> tuple[int, bytes]:
        packet = self.send(OUT, seq, 0, data)
        assert packet is not None
        return (packet.seq - self.first) % TOP, packet.payload

    def acked(self, ack: int) -> int:
        packet = self.send(IN, 0, ack)
        assert packet is not None
        return (packet.ack - self.first) % TOP


@pytest.mark.parametrize("first", [1000, TOP - 12])
def test_in_order_every_number_is_right(first: int) -> None:
    wire = Wire(first)
    assert wire.out(0, b"ax23456789") == (0, b"axx23456789")
    assert wire.out(10, b"bx23456789") == (11, b"bxx23456789")
    assert wire.out(20, b"plain") == (22, b"plain")
    assert wire.acked(27) == 25
    assert wire.acked(22) == 20


def test_what_is_ahead_of_a_gap_goes_on_rewritten() -> None:
    wire = Wire()
    assert wire.out(10, b"bx23456789") == (10, b"bxx23456789")
    assert wire.out(0, b"ax23456789") == (0, b"axx23456789")  # this growth is no longer counted
    assert wire.out(20, b"plain") == (21, b"plain")  # 22 would be right


def test_an_old_segment_again_has_a_wrong_number() -> None:
    """After two corrections, the offset before the first one is forgotten."""
    wire = Wire()
    for seq in (0, 10, 20):
        wire.out(seq, b"ax23456789")
    assert wire.out(20, b"ax23456789")[0] == 22
    assert wire.out(10, b"ax23456789")[0] == 12  # 11 would be right
    assert wire.out(0, b"ax23456789")[0] == 2  # 0 would be right


def test_a_dropped_segment_changes_no_number() -> None:
    wire = Wire()
    assert wire.send(OUT, 0, 0, b"x!") is None
    assert wire.out(2, b"plain") == (2, b"plain")


def test_growth_that_is_not_counted_makes_all_later_numbers_wrong() -> None:
    wire = Wire()
    assert wire.out(0, b"ax2345678?") == (0, b"axx2345678?")
    assert wire.out(10, b"plain") == (10, b"plain")  # 11 would be right


def test_sack_is_translated() -> None:
    wire = Wire()
    wire.out(0, b"ax23456789")
    blocks = (1000 + 16).to_bytes(4, "big") + (1000 + 21).to_bytes(4, "big")
    packet = wire.send(IN, 0, 11, options=bytes((NOP, NOP, SACK, 10)) + blocks)
    assert packet is not None
    (at,) = (at for kind, at, _ in options_of(packet.transport) if kind == SACK)
    found = packet.transport[at + 2 : at + 10]
    assert [int.from_bytes(found[each : each + 4], "big") for each in (0, 4)] == [1015, 1020]


def test_what_began_before_passes() -> None:
    editor = OffsetEditor()
    packet = parse(ip.tcp(PHONE, SERVER, b"x", seq=7, ack=9))
    assert editor.handle(packet, OUT, grown) == packet
    assert not editor.closed


def test_another_connection_of_the_same_ports_begins_anew() -> None:
    wire = Wire()
    wire.out(0, b"ax23456789")
    wire.send(OUT, 10, 0, flags=FIN | ACK)
    assert not wire.editor.closed
    wire.send(IN, 0, 12, flags=FIN | ACK)
    assert wire.editor.closed
    wire.first = 50000
    wire.send(OUT, -1, 0, flags=SYN)
    wire.send(IN, -1, 0, flags=SYN | ACK)
    assert not wire.editor.closed
    assert wire.out(0, b"x") == (0, b"xx")
    wire.send(OUT, 1, 0, flags=RST)
    assert wire.editor.closed
