"""The mirror shows exactly what arrived."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from siplab.lab.probing.mirror import MirrorServer
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.syntax import first_fatal

if TYPE_CHECKING:
    from tests.lab.conftest import Net

MIRROR = Endpoint("198.51.100.30", 5060)
SOURCE = Endpoint("203.0.113.7", 61002)

REQUEST = (
    b"OPTIONS sip:mirror@198.51.100.30 SIP/2.0\r\n"
    b"v: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK74\r\nMax-Forwards: 70\r\n"
    b"From: <sip:alice@192.168.1.20>;tag=1\r\nTo: <sip:mirror@198.51.100.30>\r\n"
    b"Call-ID: 1@192.168.1.20\r\nCSeq: 1 OPTIONS\r\nContent-Length: 4\r\n\r\n\0\xff\r\n"
)


@pytest.fixture
def mirror(net: Net) -> Net:
    net.add(MirrorServer(MIRROR.ip, (5060, 5070)))
    return net


def test_the_round_trip(mirror: Net) -> None:
    mirror.inject(REQUEST, SOURCE, MIRROR)
    (answer,) = mirror.log
    assert (answer.source, answer.destination) == (MIRROR, SOURCE)
    message = answer.message
    assert message.start_line == b"SIP/2.0 200 OK\r\n"
    assert base64.b64decode(message.body, validate=True) == REQUEST
    assert b"192.168.1.20" not in message.body
    assert message.value(b"via") == (
        b"SIP/2.0/UDP 192.168.1.20:5060;rport=61002;branch=z9hG4bK74;received=203.0.113.7"
    )
    assert message.value(b"from") == b"<sip:alice@192.168.1.20>;tag=1"
    assert message.value(b"to").startswith(b"<sip:mirror@198.51.100.30>;tag=")
    assert message.value(b"call-id") == b"1@192.168.1.20"
    assert message.value(b"cseq") == b"1 OPTIONS"
    assert message.value(b"server") == b"siplab-mirror"
    assert message.content_length == len(message.body)
    assert first_fatal(message) is None


def test_the_same_datagram_gets_the_same_answer(mirror: Net) -> None:
    mirror.inject(REQUEST, SOURCE, MIRROR)
    mirror.inject(REQUEST, SOURCE, MIRROR)
    assert mirror.log[0].payload == mirror.log[1].payload


def test_it_answers_from_the_port_that_was_addressed(mirror: Net) -> None:
    mirror.inject(REQUEST, SOURCE, Endpoint(MIRROR.ip, 5070))
    assert mirror.log[0].source == Endpoint(MIRROR.ip, 5070)


@pytest.mark.parametrize(
    "change",
    [
        (b";rport;", b"rport;"),
        (b"192.168.1.20:5060;", b"192.168.1.20:65536;"),
        (b"v: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK74\r\n", b""),
        (b"CSeq: 1 OPTIONS\r\n", b""),
        (b"mirror@198.51.100.30 SIP", b"mirror @198.51.100.30 SIP"),
        (b"\r\n", b"\n"),
    ],
)
def test_malformed_requests_are_shown_to_their_source_too(mirror: Net, change: tuple[bytes, bytes]) -> None:
    assert change[0] in REQUEST
    wire = REQUEST.replace(*change)
    mirror.inject(wire, SOURCE, MIRROR)
    (answer,) = mirror.log
    assert answer.destination == SOURCE
    assert base64.b64decode(answer.message.body, validate=True) == wire


@pytest.mark.parametrize(
    "payload",
    [
        b"\r\n\r\n",
        b"",
        b"\0\x01\0\0!\x12\xa4B",
        b"GET / HTTP/1.1\r\n\r\n",
        b"SIP/2.0 200 OK\r\nCSeq: 1 OPTIONS\r\n\r\n",
        REQUEST.replace(b"OPTIONS", b"ACK"),
        REQUEST + b"x" * 50_000,
    ],
)
def test_what_has_no_mirror_image(mirror: Net, payload: bytes) -> None:
    mirror.inject(payload, SOURCE, MIRROR)
    assert mirror.log == []
