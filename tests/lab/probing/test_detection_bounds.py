"""Bounds: on what strangers can make the detection server store, and a hostile server its client do."""

from __future__ import annotations

import json
import random
import tracemalloc
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siplab.experiments.detectors.combined import conversation
from siplab.lab.probing.anti_amplification import ADMIT, COOKIE, HELLO, network_of
from siplab.lab.probing.detection_server import LARGEST, PUBLIC, DetectionServer
from siplab.lab.probing.observation import SeenDatagram, compare
from siplab.lab.probing.probe import ProbeClient
from siplab.lab.probing.probe_messages import request
from siplab.lab.probing.probe_plan import ReflectorAddress
from siplab.lab.probing.probe_wire import MAGIC, kind_of, new_mark, pack, unpack
from siplab.lab.probing.reflector import CONTROL_PORT
from siplab.lab.sip.base import Action, Send
from siplab.lab.wire.compare import differences
from siplab.lab.wire.ip import Endpoint
from tests.test_shapes import watchdog

SERVER = "2001:db8::10"
SIP, CONTROL = Endpoint(SERVER, 5060), Endpoint(SERVER, CONTROL_PORT)
PHONE = Endpoint("192.168.1.102", 5060)
CEILING = 48 * 1024 * 1024  # bytes, as docs/detect.md says


def desk() -> DetectionServer:
    return DetectionServer(SERVER, [5060, 6060], bytes(range(32)))


def sent(actions: list[Action]) -> list[Send]:
    return [each for each in actions if isinstance(each, Send)]


def admitted(server: DetectionServer, source: Endpoint, content: dict[str, object], now: float) -> list[Send]:
    """Send a request with the source's own cookie."""
    (answer,) = sent(server.receive(HELLO.ljust(32, b"\0"), source, CONTROL, now))
    return sent(server.receive(ADMIT + answer.payload[len(COOKIE) :] + pack(content), source, CONTROL, now))


def source(number: int, host: int = 1) -> Endpoint:
    """An endpoint in the network with this number."""
    return Endpoint(f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::{host:x}", 5060)


def test_names_and_keys_are_bounded_in_size() -> None:
    server = desk()
    for content in (
        {"s": "x" * 33, "t": "order", "do": {"q00000000001": ["200"]}},
        {"s": "a", "t": "order", "do": {"q" * 5000: ["200"]}},
        {"s": "a", "t": "order", "do": {"q00000000002x": ["200"]}},
        {"s": "a", "t": "order", "do": {"q00000000003": ["2" * 65]}},
        {"s": "a", "t": "order", "do": {"q00000000004": [["200"]]}},
        {"s": "a", "t": "order", "do": {"q00000000005": ["200"] * 9}},
    ):
        admitted(server, source(1), dict(content), 0.0)
    for number in range(1, 6):
        probe = request(b"OPTIONS", b"q%011x" % number, PHONE)
        assert sent(server.receive(probe, source(2), SIP, 1.0)) == []


@pytest.mark.parametrize("sessions", [4, pytest.param(PUBLIC.sessions, marks=pytest.mark.deep)])
def test_all_that_can_be_remembered_fits_the_ceiling(sessions: int) -> None:
    """Fill sessions with the content that takes most memory per byte."""
    server, rng = desk(), random.Random(1)
    tracemalloc.start()
    try:
        now = 0.0
        for number in range(sessions + 2 * (sessions == PUBLIC.sessions)):
            session = f"{number:032d}"
            marks = [new_mark(rng) for _ in range(PUBLIC.orders)]
            for at in range(0, len(marks), 8):
                orders = {
                    mark.decode(): [f"@119 {row:03d}{rng.getrandbits(200):056x}"[:64] for row in range(8)]
                    for mark in marks[at : at + 8]
                }
                now += 0.05
                admitted(server, source(number), {"s": session, "t": "order", "n": 0, "do": orders}, now)
            for at in range(PUBLIC.records + 10):
                # Parameters and marks take most memory once they are parsed.
                odd = b"v: SIP/2.0/UDP a" + b";a" * 60 + b";b%d\r\n" % (number * 1000 + at)
                wire = b"A sip:%b SIP/2.0\r\n" % marks[at % len(marks)] + odd
                if at % 50 == 0:
                    wire += b"q0" * ((LARGEST - len(wire)) // 2)
                now += 0.01
                server.receive(wire, source(number, at % 20), SIP, now)
        for number in range(1100):
            now += 0.02
            admitted(server, source(number), {"s": "x", "t": "report", "from": 0}, now)
        remembered, _ = tracemalloc.get_traced_memory()
        tables = server.tables
    finally:
        tracemalloc.stop()
    assert tables["sessions"] == sessions
    assert tables["accounts"] == 1024
    assert remembered < CEILING


def test_a_network_has_no_more_than_one_address() -> None:
    """Whoever has one IPv6 address has 2**64 of them."""
    assert network_of("2001:db8:1:2:3::4") == network_of("2001:db8:1:2::5") != network_of("2001:db8:1:3::4")
    assert network_of("192.0.2.1") != network_of("192.0.2.2")
    server = desk()
    other = source(7)
    admitted(server, other, {"s": "other", "t": "order", "n": 0, "do": {"q00000000001": ["200"]}}, 0.0)
    for number in range(3000):
        content = {"s": str(number), "t": "order", "n": 0, "do": {f"q{number + 16:011x}": ["200"]}}
        admitted(server, source(1, number + 1), content, 1.0 + number * 0.25)
    assert server.tables["sessions"] == PUBLIC.per_source + 1
    assert server.tables["accounts"] <= 2
    assert sent(server.receive(request(b"OPTIONS", b"q00000000001", PHONE), other, SIP, 800.0))


def test_one_session_has_few_addresses() -> None:
    server = desk()
    content = {"s": "s", "t": "order", "n": 0, "do": {"q00000000001": ["200"]}}
    for number in range(100):
        admitted(server, source(number), content, float(number))
    answered = [
        number
        for number in range(100)
        if sent(server.receive(request(b"OPTIONS", b"q00000000001", PHONE), source(number), SIP, 101.0))
    ]
    assert len(answered) == PUBLIC.peers


def hidden_source(delay: bytes) -> bytes:
    head = request(b"REGISTER", b"q00000000001", PHONE).partition(b"X-Source")[0]
    return head + b"P-AL-SA: 192*168*1*102#5060\r\nP-AL-Delay: %b\r\nContent-Length: 0\r\n\r\n" % delay


def test_answers_that_wait_are_few_for_each_network_and_are_charged() -> None:
    server = desk()
    for number in range(40):
        server.receive(hidden_source(b"500"), source(1, number + 1), SIP, number * 1.0)
    assert server.tables["delayed"] == 4
    server.receive(hidden_source(b"500"), source(2), SIP, 41.0)
    assert server.tables["delayed"] == 5
    before = server.counts["bytes answered"]
    answers = sent(server.on_timer(545.0))
    assert len(answers) == 5
    assert server.counts["bytes answered"] - before == sum(len(each.payload) for each in answers)
    assert server.tables["delayed"] == 0


def test_orders_that_wait_are_few_for_each_session() -> None:
    server = desk()
    do = {f"q{number:011x}": ["@100 200"] * 8 for number in range(20)}
    admitted(server, source(1), {"s": "s", "t": "order", "n": 0, "do": do}, 0.0)
    for number in range(20):
        server.receive(request(b"OPTIONS", b"q%011x" % number, PHONE), source(1), SIP, 1.0 + number)
    assert len(sent(server.on_timer(200.0))) <= PUBLIC.waiting_each


# -- the client ---------------------------------------------------------------------------------------


def client() -> ProbeClient:
    return ProbeClient(PHONE, ReflectorAddress("198.51.100.10"), conversation(PHONE), random.Random(1))


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
_ENDPOINT = st.tuples(
    st.sampled_from(["192.0.2.1", "\x1b[31m", "x" * 5000, "fe80::1%\x1b", "::1", ""]), st.integers(-1, 70_000)
).map(list)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["ok", "rows", "record"]), _ENDPOINT | ODD, ODD, ODD), max_size=8))
def test_whatever_a_server_says_the_client_goes_on(said: list[tuple[str, object, object, object]]) -> None:
    made, now = client(), 0.0
    actions = sent(made.start(now))
    control = next(each for each in actions if each.remote.port == CONTROL_PORT)
    session = json.loads(zlib.decompress(control.payload[len(MAGIC) :]))["s"]
    for kind, you, one, other in said:
        now += 0.1
        content = {
            "t": kind, "s": session, "you": you, "n": one, "from": other, "of": one, "rows": other, "id": one,
            "data": other,
        }  # fmt: skip
        made.receive(pack(content), control.remote, control.local, now)
    public = made.observe().public
    assert public is None or (public.ip in ("192.0.2.1", "::1") and 0 < public.port < 65536)


def test_a_report_without_end_is_not_read_to_its_end() -> None:
    made = client()
    control = next(each for each in sent(made.start(0.0)) if each.remote.port == CONTROL_PORT)
    asked = unpack(control.payload)
    assert asked is not None
    for number in (0, 24, 48, 72):
        told = {"t": "ok", "s": asked["s"], "n": number, "you": ["192.0.2.1", 5060]}
        made.receive(pack(told), control.remote, control.local, 0.0)
    now = 0.0
    for _ in range(3000):  # its timers, and a server that never stops sending
        now = max(now, made.next_timer() or now)
        for each in sent(made.on_timer(now)):
            question = unpack(each.payload)
            if question is not None and question["t"] == "report":
                start = question["from"]
                rows = [[1, 5060, "192.0.2.1", 1, f"{start + at}", 1, 0.0, 0.0] for at in range(40)]
                told = {**question, "t": "rows", "of": 10**9, "rows": rows}
                made.receive(pack(told), each.remote, each.local, now)
        if made.done:
            break
    assert made.done
    assert not made.observe().complete


def datagrams(count: int, marks: int) -> Iterator[SeenDatagram]:
    for number in range(count):
        mark = b"".join(b"q%011x " % at for at in range(marks))
        yield SeenDatagram(PHONE, 5060, b"OPTIONS sip:%d SIP/2.0\r\n%b\r\n" % (number, mark))


@pytest.mark.parametrize(("count", "marks"), [(4000, 1), (300, 300)])
def test_comparing_what_a_server_says_takes_linear_time(count: int, marks: int) -> None:
    """All messages have the same marks, and no two the same bytes."""
    with watchdog("compare"):
        found = compare(datagrams(count, marks), list(datagrams(2 * count, marks))[count:], outbound=False)
    assert len(found) >= count


def test_names_of_what_changed_are_few_and_printable() -> None:
    many = b"A sip:a SIP/2.0\r\n" + b"".join(b"X\x1b%d: 1\r\n" % number for number in range(5000)) + b"\r\n"
    names = differences(b"A sip:a SIP/2.0\r\n\r\n", many)
    assert 30 < len(names) < 40
    assert all(name.isprintable() and len(name) < 200 for name in names)
    assert kind_of(b"\x1b[31m\x9b sip:a SIP/2.0\r\n").isprintable()
