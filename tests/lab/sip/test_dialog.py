"""Where a request within a dialog goes (RFC 3261 section 12.2.1.1)."""

from __future__ import annotations

import pytest

from siplab.lab.sip.dialog import Dialog, DialogId, next_hop
from siplab.lab.sip.messages import Incoming
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

HERE, PEER = Endpoint("192.168.1.20", 5060), Endpoint("198.51.100.10", 5060)
TARGET = b"sip:bob@192.0.2.66"


def dialog(routes: list[bytes]) -> Dialog:
    return Dialog(
        DialogId(b"1", b"a", b"b"),
        local=b"<sip:alice@lab.test>;tag=a",
        remote=b"<sip:bob@lab.test>;tag=b",
        local_cseq=1,
        remote_cseq=-1,
        remote_target=TARGET,
        routes=routes,
    )


@pytest.mark.parametrize(
    ("routes", "uri", "lines", "hop"),
    [
        ([], TARGET, [], TARGET),
        ([b"<sip:p1;lr>", b"<sip:p2>"], TARGET, [b"<sip:p1;lr>", b"<sip:p2>"], b"sip:p1;lr"),
        ([b"<sip:p1>", b"<sip:p2;lr>"], b"sip:p1", [b"<sip:p2;lr>", b"<" + TARGET + b">"], b"sip:p1"),
    ],
)
def test_the_route_set_decides(routes: list[bytes], uri: bytes, lines: list[bytes], hop: bytes) -> None:
    assert dialog(routes).target() == (uri, lines, hop)


def test_the_caller_reverses_the_route_the_callee_keeps_it() -> None:
    head = (
        b"Via: SIP/2.0/UDP 192.168.1.20;branch=z9hG4bK1\r\nRecord-Route: <sip:p1;lr>, <sip:p2;lr>\r\n"
        b"Record-Route: <sip:p3;lr>\r\nFrom: <sip:a@x>;tag=a\r\nTo: <sip:b@x>;tag=b\r\nCall-ID: 1\r\n"
        b"CSeq: 3 INVITE\r\nContact: <sip:b@192.0.2.66>, <sip:other@x>\r\n\r\n"
    )
    caller = Dialog.of_caller(Incoming(SipMessage.parse(b"SIP/2.0 200 OK\r\n" + head), PEER, HERE))
    callee = Dialog.of_callee(
        Incoming(SipMessage.parse(b"INVITE sip:b@x SIP/2.0\r\n" + head), PEER, HERE), b"b", 0
    )
    routes = [b"<sip:p1;lr>", b"<sip:p2;lr>", b"<sip:p3;lr>"]
    assert (caller.routes, callee.routes) == (routes[::-1], routes)
    assert caller.remote_target == callee.remote_target == b"sip:b@192.0.2.66"
    assert caller.identity == (b"1", b"a", b"b")
    assert callee.identity == (b"1", b"b", b"a")
    assert (caller.local_cseq, callee.remote_cseq) == (3, 3)


@pytest.mark.parametrize(
    ("uri", "hop"),
    [
        (b"sip:a@192.0.2.1", Endpoint("192.0.2.1", 5060)),
        (b"sip:[2001:db8::1]:5070;lr", Endpoint("2001:db8::1", 5070)),
        (b"sip:a@192.0.2.1:65536", None),
        (b"sip:a@192.0.2.1:0", None),
        (b"sip:a@phone.lan", None),
        (b"tel:112", None),
    ],
)
def test_where_a_uri_points(uri: bytes, hop: Endpoint | None) -> None:
    assert next_hop(uri) == hop
