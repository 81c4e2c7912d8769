"""The detection server's request handling: who gets answers, how many bytes, and how much it stores."""

from __future__ import annotations

import base64
import json
import random
import zlib
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siplab.experiments.detectors.combined import conversation
from siplab.lab.probing import stream_mirror
from siplab.lab.probing.anti_amplification import ADMIT, COOKIE, HELLO, Accounts, Buckets, Visitor
from siplab.lab.probing.detection_server import LARGEST, DetectionServer
from siplab.lab.probing.probe import ProbeClient
from siplab.lab.probing.probe_messages import description, obfuscated, request
from siplab.lab.probing.probe_plan import Observations, ReflectorAddress
from siplab.lab.probing.probe_wire import MAGIC, digest, new_mark, pack, unpack
from siplab.lab.probing.public_clients import FAILED, PASS
from siplab.lab.probing.reflector import CONTROL_PORT
from siplab.lab.sip.base import Action, Send
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

SERVER = "198.51.100.10"
SIP = Endpoint(SERVER, 5060)
CONTROL = Endpoint(SERVER, CONTROL_PORT)
CLIENT = Endpoint("203.0.113.7", 61000)
PHONE = Endpoint("192.168.1.102", 5060)
SECRET = bytes(range(32))
HELLO_WIRE = HELLO.ljust(32, b"\0")


def server(*, public: bool = True) -> DetectionServer:
    return DetectionServer(SERVER, [5060, 6060], SECRET, public=public)


def sent(actions: list[Action]) -> list[Send]:
    return [each for each in actions if isinstance(each, Send)]


def cookie_for(desk: DetectionServer, source: Endpoint, now: float = 0.0) -> bytes:
    (answer,) = sent(desk.receive(HELLO_WIRE, source, CONTROL, now))
    assert answer.payload[: len(COOKIE)] == COOKIE
    return answer.payload[len(COOKIE) :]


def order(cookie: bytes, mark: bytes, *orders: str, session: str = "s") -> bytes:
    return ADMIT + cookie + pack({"s": session, "t": "order", "n": 0, "do": {mark.decode(): list(orders)}})


def hidden_source_request(via: bytes, own: Endpoint = PHONE, delay: bytes = b"") -> bytes:
    """A request as the client of the hidden source sends it; it arrives with ``via`` in Via and Contact."""
    return b"".join(
        (
            b"REGISTER sip:server@198.51.100.10:5060 SIP/2.0\r\n",
            b"Via: SIP/2.0/UDP %b;branch=z9hG4bK12345678\r\n" % via,
            b"From: client <sip:client@192.168.1.102:5060>;tag=abcd1234\r\n",
            b"To: <sip:server@198.51.100.10:5060>\r\n",
            b"Call-ID: 01234567@192.168.1.102:5060\r\n",
            b"CSeq: 4711 REGISTER\r\n",
            b"Contact: client <sip:client@%b>\r\n" % via,
            b"P-AL-SA: " + obfuscated(own) + b"\r\n",
            b"P-AL-Delay: %b\r\n" % delay if delay else b"",
            b"Content-Length: 0\r\n\r\n",
        )
    )


def mirror_request() -> bytes:
    """A request as the client of the Base64 mirror sends it."""
    body = description(PHONE)
    return (
        b"INVITE sip:sip-alg-detector-daemon@198.51.100.10:5060 SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP 192.168.1.102:5060;rport;branch=z9hG4bKabcd\r\nMax-Forwards: 5\r\n"
        b"To: <sip:sip-alg-detector-daemon@198.51.100.10:5060>\r\n"
        b'From: "Detector" <sip:detector@phone.invalid>;tag=abc\r\nCall-ID: abcdefghij@192.168.1.102\r\n'
        b"CSeq: 17 INVITE\r\nContact: <sip:0123@192.168.1.102:5060;transport=udp>\r\nAllow: INVITE\r\n"
        b"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n" % len(body)
    ) + body


# -- strangers ---------------------------------------------------------------------------------------

_PROBE = request(b"INVITE", b"q0123456789a", PHONE, body=description(PHONE))
_STRANGE = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=60).map(lambda tail: MAGIC + tail),
    st.binary(max_size=60).map(lambda tail: ADMIT + tail),
    st.integers(0, 31).map(lambda size: HELLO_WIRE[:size]),
    st.integers(0, len(_PROBE)).map(lambda at: _PROBE[:at]),
    st.tuples(st.integers(0, len(_PROBE)), st.binary(max_size=9)).map(
        lambda cut: _PROBE[: cut[0]] + cut[1] + _PROBE[cut[0] :]
    ),
    st.sampled_from([b"\r\n\r\n", b"SIP/2.0 200 OK\r\n\r\n", b"\0\1\0\0\x21\x12\xa4\x42" + bytes(12)]),
)


@given(st.lists(st.tuples(_STRANGE, st.sampled_from([SIP, CONTROL, Endpoint(SERVER, 40400)])), max_size=20))
@settings(max_examples=150, deadline=None)
def test_strangers_get_no_answer_and_leave_nothing(datagrams: list[tuple[bytes, Endpoint]]) -> None:
    desk = server()
    for payload, local in datagrams:
        assert desk.receive(payload, CLIENT, local, 0.0) == []
    assert not any(desk.tables.values())
    assert desk.next_timer() is None


def test_orders_without_ones_own_cookie_are_not_read() -> None:
    desk = server()
    cookie = cookie_for(desk, CLIENT)
    mark = b"q00000000001"
    elsewhere = Endpoint("203.0.113.99", 61000)
    assert desk.receive(order(cookie, mark, "200"), elsewhere, CONTROL, 1.0) == []
    assert desk.receive(order(cookie, mark, "200"), CLIENT, CONTROL, 2000.0) == []  # too old
    assert desk.counts["wrong cookie"] == 2
    assert desk.tables["sessions"] == 0
    assert sent(desk.receive(order(cookie, mark, "200"), CLIENT, CONTROL, 1.0))
    assert desk.tables["sessions"] == 1


def test_a_datagram_that_unfolds_into_a_flood_is_not_an_order() -> None:
    desk = server()
    content = {"s": "s", "t": "order", "n": 0, "do": {"q00000000001": ["x" * 30] * 8}, "pad": "y" * 1_000_000}
    bomb = MAGIC + zlib.compress(json.dumps(content).encode())
    assert len(bomb) < LARGEST
    assert desk.receive(ADMIT + cookie_for(desk, CLIENT) + bomb, CLIENT, CONTROL, 0.0) == []
    assert desk.tables["sessions"] == 0


# -- no amplifier, no relay ---------------------------------------------------------------------------


_MARKS = [b"q%011x" % number for number in range(3)]
_SOURCES = [Endpoint(f"203.0.113.{number}", 5060) for number in range(1, 5)]
_WIRES = [
    HELLO_WIRE,
    b"\r\n\r\n",
    *(request(method, mark, PHONE) for mark in _MARKS for method in (b"INVITE", b"REGISTER")),
    mirror_request(),
    hidden_source_request(b"192.168.1.102:5060"),
]


@given(
    st.lists(st.tuples(st.sampled_from(_SOURCES), st.sampled_from(_WIRES)), min_size=1, max_size=60),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_no_address_gets_more_than_its_due(datagrams: list[tuple[Endpoint, bytes]], public: bool) -> None:
    desk = server(public=public)
    orders = ["100", "180", "183+sdp", "200+big", "INVITE+sdp", "in:BYE", "echo", "200+sdp"]
    # The first source has proved its address, and may have given its marks to everybody.
    proven = _SOURCES[0]
    heard: Counter[str] = Counter()
    answered: Counter[str] = Counter()
    cookie = cookie_for(desk, proven)
    for mark in _MARKS:
        wire = order(cookie, mark, *orders)
        heard[proven.ip] += len(wire)
        answered[proven.ip] += sum(
            len(each.payload) for each in sent(desk.receive(wire, proven, CONTROL, 0.0))
        )
    for number, (source, payload) in enumerate(datagrams):
        local = CONTROL if payload == HELLO_WIRE else SIP
        heard[source.ip] += len(payload)
        for each in sent(desk.receive(payload, source, local, number * 0.5)):
            assert each.remote == source
            answered[each.remote.ip] += len(each.payload)
    stranger = 3 if public else 1
    for ip, size in answered.items():
        factor = 10 + (stranger if public else 1) if ip == proven.ip else stranger
        assert size <= factor * heard[ip]


def test_nobody_draws_on_the_account_of_another() -> None:
    desk = server()
    victim = Endpoint("203.0.113.99", 5060)
    for source, mark in ((victim, b"q00000000001"), (CLIENT, b"q00000000002")):
        wire = order(cookie_for(desk, source), mark, *["200+big"] * 8, session=source.ip)
        desk.receive(wire, source, CONTROL, 0.0)
    spoofed = request(b"OPTIONS", b"q00000000002", PHONE, headers=b"X-Fill: " + b"x" * 2500 + b"\r\n")
    answers = sent(desk.receive(spoofed, victim, SIP, 1.0))
    assert 0 < sum(len(each.payload) for each in answers) <= len(spoofed)
    # Datagrams of the victim without a mark still belong to its own session.
    desk.receive(b"unmarked", victim, SIP, 2.0)
    cookie = cookie_for(desk, CLIENT)
    question = ADMIT + cookie + pack({"s": CLIENT.ip, "t": "report", "n": 0, "from": 0})
    (answer,) = sent(desk.receive(question, CLIENT, CONTROL, 3.0))
    report = unpack(answer.payload)
    assert report is not None
    assert digest(b"unmarked") not in [row[4] for row in report["rows"]]


def test_the_whole_conversation_fits_what_a_client_may_have() -> None:
    seen, desk = examine()
    assert seen.complete
    assert not seen.changed
    assert not seen.missing
    assert desk.counts["answers withheld"] == 0


def examine() -> tuple[Observations, DetectionServer]:
    """Run the conversation with the detection server over a wire that only translates addresses."""
    desk, seed = server(), random.Random(3)
    client = ProbeClient(PHONE, ReflectorAddress(SERVER), conversation(PHONE), seed)
    visitor = Visitor(client, CONTROL)
    now = 0.0
    up, down = sent(visitor.start(now)), list[Send]()
    while not client.done and now < 600:
        if up:
            each = up.pop(0)
            public = Endpoint(CLIENT.ip, 1000 + each.local.port)
            down += sent(desk.receive(each.payload, public, each.remote, now))
        elif down:
            each = down.pop(0)
            inside = Endpoint(PHONE.ip, each.remote.port - 1000)
            up += sent(visitor.receive(each.payload, each.local, inside, now))
        else:
            now = min(due for due in (visitor.next_timer(), desk.next_timer()) if due is not None)
            down += sent(desk.on_timer(now))
            due = visitor.next_timer()
            up += sent(visitor.on_timer(now)) if due is not None and due <= now else []
    return client.observe(), desk


# -- bounds -------------------------------------------------------------------------------------------


def test_tables_are_bounded_under_invented_and_real_sources() -> None:
    desk = server()
    mark_of = random.Random(5)
    for number in range(6000):
        source = Endpoint(f"10.{number >> 8}.{number & 255}.1", 5060)
        now = number * 0.05
        desk.receive(hidden_source_request(b"192.168.1.102:5060", delay=b"500"), source, SIP, now)
        cookie = desk.receive(HELLO_WIRE, source, CONTROL, now)
        if cookie:
            (answer,) = sent(cookie)
            wire = order(answer.payload[len(COOKIE) :], new_mark(mark_of), "@100 200", session=str(number))
            desk.receive(wire, source, CONTROL, now)
    assert desk.tables["accounts"] == 1024
    assert desk.tables["sessions"] == 64
    assert desk.tables["seen"] == 1024
    assert desk.tables["delayed"] == 256


def test_one_client_does_not_push_out_the_others() -> None:
    desk = server()
    other = Endpoint("203.0.113.99", 5060)
    desk.receive(order(cookie_for(desk, other), b"q00000000001", "200", session="other"), other, CONTROL, 0.0)
    cookie = cookie_for(desk, CLIENT)
    for number in range(100):
        wire = order(cookie, b"q%011x" % (number + 2), "200", session=str(number))
        desk.receive(wire, CLIENT, CONTROL, number * 0.1)
    assert desk.tables["sessions"] == 9
    assert sent(desk.receive(request(b"OPTIONS", b"q00000000001", PHONE), other, SIP, 10.0))


def test_a_source_that_asks_too_often_is_not_answered_and_others_are() -> None:
    desk = server()
    answers = [bool(desk.receive(HELLO_WIRE, CLIENT, CONTROL, 0.0)) for _ in range(100)]
    assert answers == [True] * 20 + [False] * 80
    assert desk.receive(HELLO_WIRE, Endpoint("203.0.113.99", 1), CONTROL, 0.0)
    assert desk.receive(HELLO_WIRE, CLIENT, CONTROL, 1.0)


def test_buckets_count_ipv6_sources_by_their_network() -> None:
    buckets = Buckets(1.0, 2.0, SECRET)
    assert [buckets.take(f"2001:db8::{each:x}", 0.0) for each in range(1, 4)] == [True, True, False]
    assert buckets.take("2001:db8:0:1::1", 0.0)


def test_an_account_ends_with_its_lifetime() -> None:
    accounts = Accounts(factor=10, most=1000, lifetime=60)
    accounts.open("203.0.113.7", 0.0)
    assert accounts.hear("203.0.113.7", 500, 1.0)
    assert accounts.charge("203.0.113.7", 1000)
    assert not accounts.charge("203.0.113.7", 1)
    assert not accounts.hear("203.0.113.7", 500, 100.0)
    assert not accounts.charge("203.0.113.7", 1)


# -- the public clients --------------------------------------------------------------------------------


def test_the_mirror_gives_a_request_back_in_two_parts() -> None:
    wire = mirror_request()
    answers = sent(server().receive(wire, CLIENT, SIP, 0.0))
    messages = [SipMessage.parse(each.payload) for each in answers]
    assert [each.status for each in messages] == [180, 500]
    assert all(each.value(b"server") == b"SipAlgDetectorDaemon" for each in messages)
    assert b"".join(base64.b64decode(each.body) for each in messages) == wire


@pytest.mark.parametrize(
    ("via", "result"),
    [(b"192.168.1.102:5060", PASS), (b"203.0.113.7:5060", FAILED), (b"192.168.1.102:61000", FAILED)],
)
def test_the_hidden_source_is_compared_with_what_arrived(via: bytes, result: bytes) -> None:
    (answer,) = sent(server().receive(hidden_source_request(via), CLIENT, SIP, 0.0))
    message = SipMessage.parse(answer.payload)
    assert message.status == 200
    assert message.value(b"p-al-result") == result
    assert message.value(b"p-al-sa") == b"203*0*113*7#61000"
    assert message.value(b"call-id") == b"01234567@192.168.1.102:5060"


def test_a_delay_is_kept() -> None:
    desk = server()
    wire = hidden_source_request(b"192.168.1.102:5060", delay=b"30")
    assert desk.receive(wire, CLIENT, SIP, 0.0) == []
    assert desk.next_timer() == 30.0
    (answer,) = sent(desk.on_timer(30.0))
    assert b"Pass" in answer.payload
    assert desk.next_timer() is None


def test_keep_alives_of_such_a_client_are_answered() -> None:
    desk = server()
    assert desk.receive(b"\r\n\r\n", CLIENT, SIP, 0.0) == []
    desk.receive(hidden_source_request(b"192.168.1.102:5060"), CLIENT, SIP, 0.0)
    (answer,) = sent(desk.receive(b"\r\n\r\n", CLIENT, SIP, 1.0))
    assert answer.payload == b"\r\n"


def test_without_public_clients_they_get_nothing() -> None:
    desk = server(public=False)
    assert desk.receive(mirror_request(), CLIENT, SIP, 0.0) == []
    assert desk.receive(hidden_source_request(b"192.168.1.102:5060"), CLIENT, SIP, 0.0) == []
    assert desk.connection(CLIENT, SIP).feed(mirror_request(), 0.0) == b""


# -- streams -------------------------------------------------------------------------------------------


def stream_probes() -> list[bytes]:
    return stream_mirror.probes(PHONE, b"TCP", (b"q00000000001", b"q00000000002", b"q00000000003"))


def test_a_stream_brings_back_what_arrived_in_any_pieces() -> None:
    session = server().connection(CLIENT, SIP)
    wires = stream_probes()
    stream, out = b"".join(wires), b""
    for at in range(0, len(stream), 7):
        out += session.feed(stream[at : at + 7], 0.0)
    for wire in wires:
        answer, out = stream_mirror.next_message(out)
        assert stream_mirror.reflection(wire, answer).changed == ()
    assert out == b""
    assert not session.over


def test_what_is_changed_on_a_stream_shows_both_ways() -> None:
    session = server().connection(CLIENT, SIP)
    wire = stream_probes()[1]
    there = wire.replace(b"Via: SIP/2.0/TCP 192.168.1.102:5060", b"Via: SIP/2.0/TCP 203.0.113.7:61000")
    answer, _ = stream_mirror.next_message(session.feed(there, 0.0))
    back = answer.replace(b"Via: SIP/2.0/TCP 203.0.113.7:61000", b"Via: SIP/2.0/TCP 192.168.1.102:5060")
    assert back != answer
    seen = stream_mirror.reflection(wire, back)
    assert (seen.there, seen.back) == (("Via",), ("Via",))


@given(st.one_of(st.binary(max_size=300), st.just(b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 0\r\n\r\n")))
@settings(max_examples=100, deadline=None)
def test_other_streams_get_no_answer(data: bytes) -> None:
    assert server().connection(CLIENT, SIP).feed(data, 0.0) == b""


def test_a_stream_without_end_is_closed() -> None:
    session = server().connection(CLIENT, SIP)
    for _ in range(10):
        assert session.feed(b"x" * 1000, 0.0) == b""
    assert session.over
