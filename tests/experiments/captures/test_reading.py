"""Captures of every kind are read, and what is not is counted: beside what tshark makes of the same files."""

from __future__ import annotations

import gzip
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siplab.experiments import captures
from siplab.experiments.captures import CaptureError, scapy_readers
from siplab.experiments.captures.left_out import LeftOut, LeftOutReason
from siplab.lab.errors import CapabilityError
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint
from tests.conftest import missing
from tests.experiments.captures import wrappings
from tests.experiments.captures.wrappings import LINKS, MESSAGE, PACKET, PHONE, SERVER

DATA = Path(__file__).parents[2] / "data" / "captures"
FILES = sorted(DATA.iterdir())
OWN_COUNT = {  # where tshark's count is another one, and why it should be
    "23-ppp-pppd166.pcap": (1, LeftOut()),  # tshark does not know this kind of interface
    "33-snaplen-96.pcap": (0, LeftOut({LeftOutReason.CUT_BY_SNAPLEN: 1})),  # tshark counts the cut message
}
LEFT_OUT = {
    "41-cut-in-second-packet.pcap": LeftOut({LeftOutReason.FILE_CUT: 1}),
    **{name: left_out for name, (_, left_out) in OWN_COUNT.items()},
}


def tsharks_count(path: Path) -> int:
    """How many packets hold a SIP message, after reassembly."""
    program = shutil.which("tshark")
    if program is None:
        missing("tshark is not installed: nobody but siplab has read the captures")
    done = subprocess.run(
        [program, "-n", "-r", str(path), "-Y", "sip", "-T", "fields", "-e", "sip.Method"],
        capture_output=True,
        text=True,
        check=False,
    )
    return sum(len(line.split(",")) for line in done.stdout.splitlines())


@pytest.mark.parametrize("path", [each for each in FILES if each.stat().st_size], ids=lambda path: path.name)
def test_as_many_messages_as_tshark_reads(path: Path) -> None:
    capture = captures.read(path)
    expected = OWN_COUNT[path.name][0] if path.name in OWN_COUNT else tsharks_count(path)
    assert len(capture.messages) == expected
    assert capture.left_out == LEFT_OUT.get(path.name, LeftOut())
    assert len(capture.lines()) == len(capture.left_out)
    for each in capture.messages:
        assert each.payload.startswith(b"REGISTER sip:")
        assert each.payload.endswith(b"\r\n\r\n")


def generated(seed: int) -> tuple[bytes, list[bytes]]:
    """A file with a message wrapped at random in five ways: its bytes, and the five packets."""
    rng = random.Random(seed)
    ipv6 = ip.udp(Endpoint("2001:db8::20", 5060), Endpoint("2001:db8:1::10", 5060), MESSAGE)
    packets, frames = [], []
    link = rng.choice([*LINKS])
    for _ in range(5):
        packet = rng.choice((PACKET, ipv6))
        pieces = [packet]
        # Two of IPv4 would have one Identification.
        if rng.random() < 0.3 and packet not in packets:
            pieces = wrappings.fragments(packet, rng.choice((64, 128, 256)))
            rng.shuffle(pieces)
        packets.append(packet)
        for piece in pieces:
            carried = wrappings.tunnelled(piece, rng) if rng.random() < 0.3 else piece
            frames.append(LINKS[link](carried, rng))
    match rng.randrange(4):
        case 0:
            data = wrappings.pcap(frames, link, order=rng.choice("<>"), nano=rng.random() < 0.5)
        case 1:
            data = gzip.compress(wrappings.pcap(frames, link))
        case _:
            data = wrappings.pcapng([(link, frame) for frame in frames], order=rng.choice("<>"))
    return data, packets


@pytest.mark.parametrize("seed", range(60))
def test_whatever_it_is_wrapped_in_the_message_is_read(seed: int, tmp_path: Path) -> None:
    data, packets = generated(seed)
    path = tmp_path / "generated"
    path.write_bytes(data)
    capture = captures.read(path)
    assert sorted(each.packet for each in capture.packets) == sorted(packets)
    assert [each.payload for each in capture.messages] == [MESSAGE] * len(packets)
    assert capture.left_out == LeftOut()


@pytest.mark.parametrize("seed", range(0, 60, 12))
def test_tshark_reads_the_generated_files_as_well(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "generated"
    data, packets = generated(seed)
    path.write_bytes(data)
    assert tsharks_count(path) == len(packets)


def tcp_capture(path: Path, data: bytes, sizes: list[int], *, lost: int = -1, swapped: bool = False) -> None:
    """A connection that sends ``data`` in segments of these sizes."""
    packets, at = [ip.tcp(PHONE, SERVER, flags=ip.SYN, seq=0xFFFFFF00)], 0
    for number, size in enumerate(sizes):
        seq = (0xFFFFFF01 + at) & 0xFFFFFFFF
        if number != lost:
            packets.append(ip.tcp(PHONE, SERVER, data[at : at + size], seq=seq, ack=1, flags=ip.ACK))
        at += size
    if swapped:
        packets[1:] = packets[:0:-1]
    path.write_bytes(wrappings.pcap(packets, 101))


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("count", [1, 3])
@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(1, 900), max_size=5))
def test_streams_are_cut_into_their_messages(
    swapped: bool, count: int, cuts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = b"\r\n\r\n".join([MESSAGE] * count)
    sizes = [*cuts, len(data)]
    path = tmp_path_factory.mktemp("stream") / "tcp.pcap"
    tcp_capture(path, data, sizes, swapped=swapped)
    capture = captures.read(path)
    assert [(each.payload, each.transport) for each in capture.messages] == [(MESSAGE, "tcp")] * count
    assert capture.left_out == LeftOut()


def test_behind_a_gap_a_stream_is_read_on(tmp_path: Path) -> None:
    path = tmp_path / "tcp.pcap"
    tcp_capture(path, MESSAGE * 4, [len(MESSAGE) + 50, 100, 3 * len(MESSAGE) - 150], lost=1)
    capture = captures.read(path)
    assert [each.payload for each in capture.messages] == [MESSAGE] * 3
    assert capture.left_out == LeftOut({LeftOutReason.TCP_INCOMPLETE: 2})


def test_what_is_encrypted_is_said(tmp_path: Path) -> None:
    path = tmp_path / "tls.pcap"
    tcp_capture(path, b"\x16\x03\x01\x02\x00" + bytes(512), [300, 300])
    assert captures.read(path).left_out == LeftOut({LeftOutReason.ENCRYPTED: 2})


def test_what_is_left_out_is_counted_by_reason(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    arp = wrappings.MACS + b"\x08\x06" + bytes(28)
    frame = wrappings.MACS + b"\x08\x00" + PACKET
    half = wrappings.fragments(PACKET, 128)[0]
    path.write_bytes(wrappings.pcap([arp, frame, wrappings.MACS + b"\x08\x00" + half, frame[:60]], 1))
    assert captures.read(path).left_out == LeftOut(
        {
            LeftOutReason.NOT_IP: 1,
            LeftOutReason.FRAGMENTS_INCOMPLETE: 1,
            LeftOutReason.MALFORMED: 1,
        }
    )
    path.write_bytes(wrappings.pcap([frame], 250))
    assert captures.read(path).left_out == LeftOut({LeftOutReason.UNKNOWN_LINK_TYPE: 1})
    path.write_bytes(wrappings.pcap([frame, frame], 1, snaplen=100))
    assert captures.read(path).left_out == LeftOut({LeftOutReason.CUT_BY_SNAPLEN: 2})


@pytest.mark.parametrize("size", range(0, 2000, 97))
def test_a_file_cut_anywhere_gives_what_is_whole_and_says_so(size: int, tmp_path: Path) -> None:
    for number, data in enumerate((wrappings.pcap([PACKET] * 5, 101), wrappings.pcapng([(101, PACKET)] * 5))):
        path = tmp_path / str(number)
        path.write_bytes(data[:size])
        if size < 28:  # no whole header
            with pytest.raises(CaptureError):
                captures.read(path)
            continue
        capture = captures.read(path)
        assert len(capture.messages) == data[:size].count(b"Content-Length: 0\r\n\r\n")
        whole = size >= len(data)
        assert capture.left_out.total() <= 1
        assert not (whole and capture.left_out)


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x1f\x8b\x08\0 damaged", b"\xd4\xc3\xb2\xa1\2\0", b"\n\r\r\n", None]
)
def test_what_is_no_capture_is_said_in_one_line(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CaptureError, match=r"x\.pcap: [^\n]+\Z"):
        captures.read(path)


def test_without_scapy_the_install_command_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(captures, "scapy_readers")
    monkeypatch.delitem(sys.modules, scapy_readers.__name__)
    monkeypatch.setitem(sys.modules, "scapy.utils", None)
    with pytest.raises(CapabilityError, match=r"pip install 'siplab\[captures\]'"):
        captures.read(DATA / "01-ethernet.pcap")
