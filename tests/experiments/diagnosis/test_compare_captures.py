"""`siplab compare-captures`: verdict and exit status, words for what happened, and one line for bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint
from tests.command import siplab
from tests.experiments.captures import wrappings
from tests.experiments.captures.two_sides import sides, trace_of

PHONE, PUBLIC, SERVER = Endpoint("192.168.1.20", 5060), Endpoint("203.0.113.7", 61002), wrappings.SERVER
BODY = (
    b"v=0\r\no=- 1 1 IN IP4 192.168.1.20\r\ns=-\r\nc=IN IP4 192.168.1.20\r\nt=0 0\r\n"
    b"m=audio 10998 RTP/AVP 8\r\nc=IN IP4 192.168.1.20\r\n"
)
INVITE = (
    b"INVITE sip:bob@198.51.100.10 SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bKc5\r\n"
    b"From: <sip:alice@198.51.100.10>;tag=5\r\nTo: <sip:bob@198.51.100.10>\r\nCall-ID: c5x\r\n"
    b"CSeq: 1 INVITE\r\nContact: <sip:alice@192.168.1.20:5060>\r\nContent-Type: application/sdp\r\n"
    b"Content-Length: 152\r\n\r\n" + BODY
)


def capture(path: Path, rows: list[tuple[Endpoint, Endpoint, bytes]]) -> Path:
    path.write_bytes(wrappings.pcap([ip.udp(*row, dont_fragment=False) for row in rows], 101))
    return path


def told(tmp_path: Path, before: bytes, after: bytes | None, copies: int = 1) -> tuple[int, str]:
    inside = capture(tmp_path / "in.pcap", [(PHONE, SERVER, before)] * copies)
    rows = [] if after is None else [(PUBLIC, SERVER, after)]
    outside = capture(tmp_path / "out.pcap", rows)
    done = siplab("compare-captures", str(inside), str(outside))
    return done.returncode, " ".join(done.stdout.split())


def test_equal_messages_are_clean(tmp_path: Path) -> None:
    status, text = told(tmp_path, INVITE, INVITE)
    assert status == 0
    assert "1 message came out as they went in" in text


def test_a_session_line_that_stayed_private_is_named(tmp_path: Path) -> None:
    head, tail = INVITE.replace(b"192.168.1.20", b"203.0.113.7").split(b"c=IN", 1)
    status, text = told(tmp_path, INVITE, head + b"c=IN" + tail.replace(b"203.0.113.7", b"192.168.1.20", 1))
    assert status == 1
    assert "left it in the session's c=" in text


def test_half_a_translation_of_media_is_told_in_words(tmp_path: Path) -> None:
    status, text = told(tmp_path, INVITE, INVITE.replace(b"c=IN IP4 192.168.1.20", b"c=IN IP4 203.0.113.7"))
    assert status == 1
    assert "translated c= but not m=" in text
    status, text = told(tmp_path, INVITE, INVITE.replace(b"10998", b"22020"))
    assert "translated m= but not c=" in text


def test_a_request_that_never_leaves_is_undecided_and_named(tmp_path: Path) -> None:
    inside = [(PHONE, SERVER, INVITE)] * 7 + [(PHONE, SERVER, wrappings.MESSAGE)]
    capture(tmp_path / "in.pcap", inside)
    capture(tmp_path / "out.pcap", [(PUBLIC, SERVER, wrappings.MESSAGE)])
    done = siplab("compare-captures", str(tmp_path / "in.pcap"), str(tmp_path / "out.pcap"), "--json")
    assert done.returncode == 3
    data = json.loads(done.stdout)
    assert data["verdict"] == "undecided"
    assert data["missing"] == [{"message": "INVITE", "copies": 7}]


def test_captures_without_a_message_in_common_are_undecided(tmp_path: Path) -> None:
    status, text = told(tmp_path, INVITE, None)
    assert status == 3
    assert "no message in common" in text


@pytest.mark.parametrize("content", [b"hello", None])
def test_bad_files_are_one_line(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "x").write_bytes(content)
    done = siplab("compare-captures", str(tmp_path / "x"), str(tmp_path / "x"))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "x: " in done.stderr


def test_the_message_of_a_stranger_reaches_the_terminal_escaped(tmp_path: Path) -> None:
    _, text = told(tmp_path, INVITE, INVITE.replace(b"alice@192.168.1.20", b"\x1b[31malice@192.168.1.20"))
    assert "\x1b" not in text


def test_the_labs_router_is_told(tmp_path: Path) -> None:
    rows = sides(trace_of("correct", "outgoing-call"))
    for name, messages in zip(("in", "out"), rows, strict=True):
        capture(
            tmp_path / f"{name}.pcap", [(each.source, each.destination, each.payload) for each in messages]
        )
    done = siplab("compare-captures", str(tmp_path / "in.pcap"), str(tmp_path / "out.pcap"))
    assert done.returncode == 1
    assert "Contact" in done.stdout


@pytest.mark.parametrize(("before", "after", "said"), [(64, 63, False), (64, 60, False), (60, 64, True)])
def test_a_ttl_that_was_renewed_is_told(before: int, after: int, said: bool, tmp_path: Path) -> None:
    paths = [tmp_path / "in.pcap", tmp_path / "out.pcap"]
    for path, source, ttl in zip(paths, (PHONE, PUBLIC), (before, after), strict=True):
        path.write_bytes(wrappings.pcap([ip.udp(source, SERVER, INVITE, ttl=ttl)], 101))
    done = siplab("compare-captures", *map(str, paths))
    assert done.returncode == 0
    assert ("with a higher TTL" in " ".join(done.stdout.split())) is said
