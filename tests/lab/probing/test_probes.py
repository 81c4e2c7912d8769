"""Probe client and reflector, without a network: the messages between them, and their conclusions."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siplab.experiments.detectors.combined import conversation
from siplab.experiments.detectors.probe_runs import keepalive, register
from siplab.lab.media import stun
from siplab.lab.probing.behind_proxy import without_proxy
from siplab.lab.probing.observation import SeenDatagram, compare
from siplab.lab.probing.probe import ProbeClient
from siplab.lab.probing.probe_messages import clear, obfuscated, request
from siplab.lab.probing.probe_plan import Observations, Probe, ReflectorAddress
from siplab.lab.probing.probe_wire import MAGIC, digest, kind_of, marks_of, new_mark, pack, unpack
from siplab.lab.probing.reflector import CONTROL_PORT, Reflector
from siplab.lab.probing.tracer import MOST_HOPS, Tracer
from siplab.lab.sip.base import Action, Agent, Listen, Send
from siplab.lab.wire.ip import Endpoint

PHONE = Endpoint("192.168.1.102", 5060)
SERVER = "198.51.100.10"
PROXY = Endpoint("198.51.100.5", 5060)
Wire = Callable[[Send, bool], Sequence[Send]]
"""What the network does to a datagram. The flag says whether it goes to the reflector."""


def straight(send: Send, up: bool) -> Sequence[Send]:
    return [send]


def examine(probes: Sequence[Probe], wire: Wire = straight, seed: int = 1) -> tuple[Observations, float]:
    """Run an examination over ``wire`` with a virtual clock; also returns how long it took."""
    client = ProbeClient(PHONE, ReflectorAddress(SERVER), probes, random.Random(seed))
    reflector = Reflector(SERVER, [5060, 6060])
    queue: deque[tuple[Agent, Send]] = deque()

    def act(agent: Agent, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, Send):
                up = agent is client
                queue.extend(
                    (client if each.remote.ip == PHONE.ip else reflector, each) for each in wire(action, up)
                )
            else:
                assert isinstance(action, Listen)

    now = 0.0
    act(reflector, reflector.start(now))
    act(client, client.start(now))
    while not client.done and now < 600:
        if queue:
            agent, send = queue.popleft()
            act(agent, agent.receive(send.payload, send.local, send.remote, now))
            continue
        due = [each for each in (client.next_timer(), reflector.next_timer()) if each is not None]
        now = min(due)
        for agent in (client, reflector):
            when = agent.next_timer()
            if when is not None and when <= now:
                act(agent, agent.on_timer(now))
    assert client.done
    return client.observe(), now


def is_control(send: Send) -> bool:
    return CONTROL_PORT in (send.local.port, send.remote.port)


# -- the course of an examination --------------------------------------------------------------------


def test_on_a_plain_wire_everything_arrives_as_it_was_sent() -> None:
    seen, took = examine(conversation(PHONE))
    assert seen.complete
    assert (seen.changed, seen.missing, seen.strange) == ([], [], [])
    kinds = {each.kind for each in seen.transits if not each.outbound}
    assert {
        "200 REGISTER",
        "183 INVITE",
        "INVITE",
        "ACK",
        "BYE",
        "UPDATE",
        "NOTIFY",
        "STUN response",
    } <= kinds
    assert took == 0  # it did not wait for anything


def test_what_a_wire_changes_is_named_with_its_direction() -> None:
    def wire(send: Send, up: bool) -> Sequence[Send]:
        payload = send.payload
        if not is_control(send) and kind_of(payload) == "200 REGISTER":
            payload = payload.replace(b"expires=3600", b"expires=60")
        return [Send(send.local, send.remote, payload)]

    seen, _ = examine([register(PHONE)], wire)
    (transit, names) = seen.changed[0]
    assert (transit.kind, transit.outbound, names) == ("200 REGISTER", False, ["Contact"])
    assert len(seen.changed) == 1


def test_what_never_arrives_on_one_port_alone_is_gone() -> None:
    def wire(send: Send, up: bool) -> Sequence[Send]:
        return [] if send.payload == b"\r\n\r\n" and send.remote.port == 5060 else [send]

    seen, _ = examine([register(PHONE), keepalive()], wire)
    gone = [each.kind for each in seen.missing if seen.is_gone(each)]
    assert gone == ["empty lines (4 bytes)"]


def test_what_arrives_on_no_port_is_no_accusation() -> None:
    def wire(send: Send, up: bool) -> Sequence[Send]:
        return [] if send.payload.startswith(b"REGISTER") else [send]

    seen, _ = examine([register(PHONE)], wire)
    assert seen.missing
    assert not any(seen.is_gone(each) for each in seen.missing)


def test_a_forged_answer_is_strange() -> None:
    def wire(send: Send, up: bool) -> Sequence[Send]:
        if up and send.payload.startswith(b"REGISTER") and send.remote.port == 5060:
            answer = b"SIP/2.0 403 No\r\n" + send.payload.partition(b"\n")[2]
            return [Send(send.remote, send.local, answer)]
        return [send]

    seen, _ = examine([register(PHONE)], wire)
    assert [each.kind for each in seen.strange] == ["403 REGISTER"]
    assert [each.kind for each in seen.missing if seen.is_gone(each)] == ["REGISTER"]


def test_without_a_control_channel_nothing_is_known() -> None:
    seen, took = examine([register(PHONE)], lambda send, up: [] if is_control(send) else [send])
    assert not seen.complete
    assert seen.transits == []
    assert took < 60


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.05, 0.1, 0.2]))
def test_loss_is_never_taken_for_filtering(seed: int, loss: float) -> None:
    chance = random.Random(seed)
    seen, _ = examine(
        [register(PHONE), keepalive()], lambda send, up: [] if chance.random() < loss else [send], seed
    )
    assert seen.changed == []
    assert seen.strange == []
    assert not any(seen.is_gone(each) for each in seen.missing)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32))
def test_duplicates_and_disorder_change_nothing(seed: int) -> None:
    chance, late = random.Random(seed), []

    def wire(send: Send, up: bool) -> Sequence[Send]:
        ready = [send] * chance.choice((1, 1, 2))
        if not up and not is_control(send) and chance.random() < 0.3:
            late.append(send)
            return []
        return [*ready, *[late.pop() for _ in range(len(late))]] if not up else ready

    seen, _ = examine(conversation(PHONE), wire, seed)
    assert (seen.changed, seen.strange) == ([], [])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.binary(max_size=200) | st.binary(max_size=60).map(MAGIC.__add__), max_size=8), st.booleans()
)
def test_noise_breaks_neither_side(noise: list[bytes], control: bool) -> None:
    client = ProbeClient(PHONE, ReflectorAddress(SERVER), conversation(PHONE), random.Random(1))
    reflector = Reflector(SERVER, [5060])
    orders = next(each for each in client.start(0.0) if isinstance(each, Send))
    reflector.receive(orders.payload, orders.local, orders.remote, 0.0)
    for payload in noise:
        port = CONTROL_PORT if control else 5060
        reflector.receive(payload, PHONE, Endpoint(SERVER, port), 0.0)
        local = orders.local if control else PHONE
        client.receive(payload, Endpoint(SERVER, port), local, 0.0)


def test_a_reflector_that_talks_nonsense_is_not_believed() -> None:
    client = ProbeClient(PHONE, ReflectorAddress(SERVER), [register(PHONE)], random.Random(1))
    order = next(each for each in client.start(0.0) if isinstance(each, Send))
    session = (unpack(order.payload) or {})["s"]
    for content in ({"t": "ok"}, {"t": "ok", "you": 5, "n": 0}, {"t": "ok", "you": ["x"], "n": "y"}):
        assert client.receive(pack({**content, "s": session}), order.remote, order.local, 0.0) == []
    assert not client.done


def test_a_reflector_sends_only_where_a_known_probe_came_from() -> None:
    reflector = Reflector(SERVER, [5060])
    stranger = request(b"OPTIONS", b"q00000000000", PHONE)
    assert reflector.receive(stranger, PHONE, Endpoint(SERVER, 5060), 0.0) == []


# -- the parts -----------------------------------------------------------------------------------------


@given(st.binary(max_size=300))
def test_readers_take_any_bytes(data: bytes) -> None:
    kind_of(data)
    marks_of(data)
    unpack(data)
    unpack(MAGIC + data)
    stun.answer(data, PHONE)
    stun.mapped(data, data[8:20])
    assert digest(data) == digest(bytes(data))


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=20), max_size=5))
def test_the_control_channel_carries_what_it_was_given(content: dict[str, int | str]) -> None:
    assert unpack(pack(content)) == content


def test_a_control_datagram_does_not_unfold_without_end() -> None:
    bomb = pack({"x": "0" * 3_000_000})
    assert len(bomb) < 20_000
    assert unpack(bomb) is None


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_stun_tells_the_mapping(address: str) -> None:
    mark = new_mark(random.Random(1))
    source = Endpoint(address, 32853)
    answer = stun.answer(stun.request(mark), source)
    assert answer is not None
    assert stun.mapped(answer, mark) == source
    assert stun.mapped(answer, b"another one!") is None
    assert address.encode() not in answer


def test_stun_reads_the_published_vector() -> None:
    """RFC 5769 section 2.2, without what follows the address."""
    sample = bytes.fromhex(
        "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643"
    )
    assert stun.mapped(sample, sample[8:20]) == Endpoint("192.0.2.1", 32853)


@pytest.mark.parametrize("endpoint", [PHONE, Endpoint("2001:db8::7", 40000)])
def test_a_disguised_endpoint_is_read_back_and_not_recognised(endpoint: Endpoint) -> None:
    text = obfuscated(endpoint)
    assert clear(text) == endpoint
    assert endpoint.ip.encode() not in text


@pytest.mark.parametrize("text", [b"", b"192.168.1.102:5060", b"192*168*1*102", b"<script>#1"])
def test_other_texts_are_no_disguised_endpoint(text: bytes) -> None:
    assert clear(text) is None


def test_an_honest_proxys_traces_are_taken_back_and_no_others() -> None:
    sent = request(b"INVITE", b"q0123456789a", PHONE)
    passed = sent.replace(
        b"Via: SIP/2.0/UDP 192.168.1.102:5060;rport;",
        b"Via: SIP/2.0/UDP 198.51.100.5:5060;branch=z9hG4bKp\r\n"
        b"Via: SIP/2.0/UDP 192.168.1.102:5060;rport=61002;received=203.0.113.7;",
    )
    passed = passed.replace(
        b"Max-Forwards: 70\r\n", b"Record-Route: <sip:198.51.100.5:5060;lr>\r\nMax-Forwards: 69\r\n"
    )
    passed = passed.replace(b"5060>\r\nX-", b"5060;alias=203.0.113.7~61002~1>\r\nX-")

    def plain(payload: bytes, *, arrived: bool) -> bytes:
        return without_proxy(payload, PROXY, arrived=arrived)

    assert plain(passed, arrived=True) == plain(sent, arrived=False)
    others = (
        passed.replace(b"Max-Forwards: 69", b"Max-Forwards: 68"),
        passed.replace(b"192.168.1.102:5060;rport=", b"203.0.113.7:61002;rport="),
        passed.replace(
            b"Via: SIP/2.0/UDP 198", b"Via: SIP/2.0/UDP 203.0.113.7;branch=z9hG4bKx\r\nVia: SIP/2.0/UDP 198"
        ),
    )
    for other in others:
        assert plain(other, arrived=True) != plain(sent, arrived=False)


def test_messages_are_paired_by_kind_and_mark() -> None:
    first = SeenDatagram(PHONE, 5060, request(b"REGISTER", b"q00000000001", PHONE))
    second = SeenDatagram(PHONE, 5060, request(b"REGISTER", b"q00000000002", PHONE))
    changed = second._replace(payload=second.payload.replace(b"Max-Forwards: 70", b"Max-Forwards: 69"))
    found = compare([first, second], [first, changed], outbound=True)
    assert [(each.sent, each.arrived, each.changed) for each in found] == [
        (first, first, []),
        (second, changed, ["Max-Forwards"]),
    ]


def test_a_tracer_goes_one_hop_further_each_time_until_it_is_answered() -> None:
    remote = Endpoint(SERVER, 5060)
    tracer = Tracer(PHONE, [remote], b"payload")
    sent = [each for each in tracer.start(0.0) if isinstance(each, Send)]
    tracer.on_quote(remote, PHONE, b"pay", 0.1)
    while (due := tracer.next_timer()) is not None:
        more = [each for each in tracer.on_timer(due) if isinstance(each, Send)]
        sent += more
        if more and more[0].ttl == 3:
            tracer.receive(b"answer", remote, PHONE, due)
    assert [each.ttl for each in sent] == [1, 2, 2, 2, 3]
    assert tracer.quotes[remote] == {1: b"pay"}
    assert tracer.done
    silent = Tracer(PHONE, [remote], b"payload")
    ttls = [each.ttl for each in silent.start(0.0) if isinstance(each, Send)]
    while (due := silent.next_timer()) is not None:
        ttls += [each.ttl for each in silent.on_timer(due) if isinstance(each, Send)]
    assert max(ttls) == MOST_HOPS
