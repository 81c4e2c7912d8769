"""A client's script can make the detection server send only to the client itself, once, and within bounds."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siplab.lab.probing.anti_amplification import ADMIT, COOKIE, HELLO, Visitor
from siplab.lab.probing.detection_server import DetectionServer
from siplab.lab.probing.probe_wire import pack, unpack
from siplab.lab.probing.reflector import CONTROL_PORT
from siplab.lab.probing.script_desk import LARGEST
from siplab.lab.sip.base import Action, Agent, Send
from siplab.lab.wire.ip import Endpoint

SERVER = "198.51.100.10"
SIP, CONTROL = Endpoint(SERVER, 5060), Endpoint(SERVER, CONTROL_PORT)
CLIENT = Endpoint("203.0.113.7", 61000)
OTHER = Endpoint("203.0.113.99", 5060)
HELLO_WIRE = HELLO.ljust(32, b"\0")


class Desk:
    """A detection server, and clients with their cookies. ``sent``: all that it sent."""

    def __init__(self) -> None:
        self.server = DetectionServer(SERVER, [5060, 6060], bytes(range(32)))
        self.heard, self.answered = Counter[str](), Counter[str]()
        self.cookies: dict[str, bytes] = {}

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float = 0.0) -> list[Send]:
        self.heard[source.ip] += len(payload)
        sent = [each for each in self.server.receive(payload, source, local, now) if isinstance(each, Send)]
        for each in sent:
            self.answered[each.remote.ip] += len(each.payload)
        return sent

    def ask(self, number: int, source: Endpoint = CLIENT, *, now: float = 0.0, **more: object) -> list[Send]:
        if source.ip not in self.cookies:
            (answer,) = self.receive(HELLO_WIRE, source, CONTROL, now)
            self.cookies[source.ip] = answer.payload[len(COOKIE) :]
        content = {"s": f"of {source.ip}", "t": "step", "n": number, "seen": 0} | more
        return self.receive(ADMIT + self.cookies[source.ip] + pack(content), source, CONTROL, now)


def _rows(answer: Send) -> list[list[object]]:
    content = unpack(answer.payload)
    assert content is not None
    rows: list[list[object]] = content["rows"]
    return rows


def test_it_sends_what_it_is_told_and_says_what_came() -> None:
    desk = Desk()
    sent, answer = desk.ask(1, send=[5060, 61002, "INVITE \xff"])
    assert sent == Send(SIP, Endpoint(CLIENT.ip, 61002), b"INVITE \xff")
    assert (answer.local, answer.remote) == (CONTROL, CLIENT)
    assert desk.receive(b"200\xff", Endpoint(CLIENT.ip, 61002), SIP) == []
    (answer,) = desk.ask(2)
    assert _rows(answer) == [[5060, CLIENT.ip, 61002, "200\xff"]]
    (answer,) = desk.ask(3, seen=1)
    assert _rows(answer) == []


def test_a_question_that_is_repeated_sends_nothing_again() -> None:
    desk = Desk()
    assert len(desk.ask(7, send=[5060, 61002, "x"])) == 2
    assert len(desk.ask(7, send=[5060, 61002, "x"])) == 1
    assert len(desk.ask(6, send=[5060, 61002, "x"])) == 1
    assert len(desk.ask(8, send=[5060, 61002, "x"])) == 2


@pytest.mark.parametrize(
    "what",
    [
        [5060, 53, "x"],  # a service's port from which nothing came
        [7077, 61002, "x"],
        [22, 61002, "x"],
        [5060, 0, "x"],
        [5060, 70000, "x"],
        [5060, 61002, "x" * (LARGEST + 1)],
        [5060, 61002, "\u20ac"],
        [5060, 61002, "x", "203.0.113.99"],
        ["5060", 61002, "x"],
        {"5060": "x"},
        5,
    ],
)
def test_what_is_not_sent(what: object) -> None:
    (answer,) = Desk().ask(1, send=what)
    assert answer.remote == CLIENT


def test_a_port_from_which_something_came_may_be_any() -> None:
    desk = Desk()
    desk.ask(1)
    desk.receive(b"from a low port", Endpoint(CLIENT.ip, 1023), SIP)
    assert desk.ask(2, send=[5060, 1023, "x"])[0].remote == Endpoint(CLIENT.ip, 1023)


def test_nothing_is_sent_without_ones_own_cookie() -> None:
    desk = Desk()
    desk.ask(1)
    wire = pack({"s": "x", "t": "step", "n": 5, "seen": 0, "send": [5060, 61002, "x"]})
    for payload in (wire, ADMIT + desk.cookies[CLIENT.ip] + wire):
        assert desk.receive(payload, OTHER, CONTROL) == []


def test_strangers_and_other_addresses_are_not_written_down() -> None:
    desk = Desk()
    assert desk.receive(b"before", CLIENT, SIP) == []
    desk.ask(1)
    desk.receive(b"another's", OTHER, SIP)
    desk.ask(1, OTHER)
    assert _rows(desk.ask(2)[-1]) == _rows(desk.ask(2, OTHER)[-1]) == []


def test_an_address_has_one_script_at_a_time() -> None:
    desk = Desk()
    desk.ask(1)
    (answer,) = desk.ask(1, s="second", send=[5060, 61002, "x"])
    assert (unpack(answer.payload) or {})["t"] == "busy"
    assert len(desk.ask(1, s="second", send=[5060, 61002, "x"], now=100.0)) == 2


@pytest.mark.parametrize(
    "more", [{"n": "1"}, {"n": -1}, {"n": 1 << 40}, {"seen": 1.5}, {"seen": -1}, {"s": "x" * 33}, {"s": 3}]
)
def test_what_is_no_question_is_not_answered(more: dict[str, object]) -> None:
    desk = Desk()
    desk.ask(1)
    assert desk.ask(**({"number": 2} | more)) == [] if "n" not in more else desk.ask(2, **more) == []  # type: ignore[arg-type]


_SOURCES = [CLIENT, OTHER, Endpoint("203.0.113.7", 4000)]
_SENDS = st.tuples(st.sampled_from([5060, 6060, 40400, 9]), st.integers(-1, 70000), st.integers(0, LARGEST))


@given(
    st.lists(
        st.tuples(st.sampled_from(_SOURCES), _SENDS | st.just(None), st.binary(max_size=600)), max_size=40
    )
)
@settings(max_examples=60, deadline=None)
def test_nobody_gets_more_than_ten_bytes_for_each_that_came(
    steps: list[tuple[Endpoint, tuple[int, int, int] | None, bytes]],
) -> None:
    desk = Desk()
    for number, (source, send, payload) in enumerate(steps):
        now = number * 0.01
        more = {} if send is None else {"send": [send[0], send[1], "x" * send[2]]}
        for each in desk.ask(number, source, now=now, **more):
            assert each.remote.ip == source.ip
        desk.receive(payload, source, SIP, now)
    for ip, count in desk.answered.items():
        assert count <= 10 * desk.heard[ip]


def test_what_is_kept_is_bounded() -> None:
    desk = Desk()
    for number in range(200):
        source = Endpoint(f"10.{number}.0.1", 5060)
        desk.ask(1, source, now=number * 0.1)
        for _ in range(100):
            desk.receive(b"x" * 1000, source, SIP, number * 0.1)
        assert len(_rows(desk.ask(2, source, now=number * 0.1)[-1])) <= 3
    assert desk.server.tables["scripts"] == 32
    for number in range(50):
        desk.ask(1, Endpoint(f"2001:db8::{number:x}", 5060), now=30 + number)
    assert desk.server.tables["scripts"] == 32
    for number in range(200):
        assert _rows(desk.ask(3 + number, Endpoint("10.199.0.1", 5060), now=90 + number)[-1])


def test_a_restarted_server_goes_on_where_the_client_is() -> None:
    desk = Desk()
    (answer,) = desk.ask(900, seen=400)
    content = unpack(answer.payload)
    assert content is not None
    assert (content["from"], content["rows"]) == (400, [])


def test_idle_scripts_are_forgotten() -> None:
    desk = Desk()
    desk.ask(1)
    desk.receive(b"much later", CLIENT, SIP, 700.0)
    assert desk.server.tables["scripts"] <= 1
    assert desk.server.counts["packets of scripts"] == 0


class _Talker(Agent):
    """An agent that sends a word on the control channel on request."""

    def __init__(self, local: Endpoint) -> None:
        super().__init__()
        self.local = local
        self.due: float | None = 0.0

    def start(self, now: float) -> list[Action]:
        return []

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        return []

    def next_timer(self) -> float | None:
        return self.due

    def on_timer(self, now: float) -> list[Action]:
        return [Send(self.local, CONTROL, pack({"s": "x", "t": "step", "n": int(now), "seen": 0}))]


def test_a_client_that_stays_for_hours_keeps_a_cookie_that_is_valid() -> None:
    desk = DetectionServer(SERVER, [5060], bytes(range(32)))
    visitor = Visitor(_Talker(CLIENT), CONTROL)
    answered = 0
    for now in range(0, 7200, 40):
        outgoing = visitor.on_timer(float(now))
        while outgoing:
            (first, *outgoing) = outgoing
            assert isinstance(first, Send)
            for each in desk.receive(first.payload, CLIENT, CONTROL, float(now)):
                assert isinstance(each, Send)
                answered += unpack(each.payload) is not None
                outgoing += visitor.receive(each.payload, CONTROL, CLIENT, float(now))
    assert answered == 180
    assert desk.counts["wrong cookie"] == 0
    assert desk.counts["hellos"] < 40
    assert not visitor.refused
