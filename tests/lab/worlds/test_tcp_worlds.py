"""SIP over TCP in both worlds: the same bytes, and what routers that inspect streams do to them."""

from __future__ import annotations

import random
import sys
import tempfile
from collections import deque
from itertools import pairwise

import pytest

from siplab.experiments.trial import run as trial
from siplab.experiments.trial import runner
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.experiments.trial.stage import Setup, Stage
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Card, Model
from siplab.lab.phone.registration import RegistrationState
from siplab.lab.server.server import ServerConfig, SipServer
from siplab.lab.sip.base import Action, Agent, Listen, SendSegment
from siplab.lab.wire import ip
from siplab.lab.wire.ip import ACK, RST, SYN, Endpoint
from siplab.lab.wire.sip import SipMessage, split_stream
from siplab.lab.worlds.emulated.bubble import Bubble
from siplab.lab.worlds.emulated.live import LiveWorld
from siplab.lab.worlds.simulated import SimulatedWorld
from siplab.lab.worlds.trace import Passage, Segment, Trace, from_json_lines
from tests.experiments.trial.test_determinism import difference
from tests.lab.worlds import inside
from tests.lab.worlds.players import PHONE, REGISTRAR
from tests.lab.worlds.test_kernel import kernel_like, segment

FRAMINGS = (
    "tcp-call",
    "tcp-call(framing=pipelined)",
    "tcp-call(framing=split)",
    "tcp-call(padding=1500)",
    "tcp-call(framing=split,padding=3000)",
)
# Controls, ALGs that make messages longer or shorter, and each way to inspect TCP.
MODELS = (
    "none",
    "correct",
    "linux",
    "blind-ip-replace",
    "content-length-stale",
    "sdp-line-injected",
    "tcp-content-length-must-be-last",
    "tcp-ignored",
    "tcp-seq-desync",
    "tcp-split-unprocessed",
)
NONE = Model("none", Card("No ALG."))


def traced(model: str, scenario: str, topology: str = "home") -> tuple[TrialResult, Trace]:
    result, trace = trial.run(TrialSpec(topology, model, scenario))
    assert not result.errors
    return result, trace


def payloads(trace: Trace, tap: str, *, leaving: bool) -> list[bytes]:
    """The payloads of the segments at a tap, without repetitions."""
    found: dict[tuple[Endpoint, int], bytes] = {}
    for record in trace:
        if isinstance(record, Segment) and (record.host, record.leaving) == (tap, leaving):
            packet = ip.parse(record.packet)
            if packet.payload:
                found.setdefault((packet.destination, packet.seq), packet.payload)
    return list(found.values())


def messages(trace: Trace, tap: str, *, leaving: bool) -> list[SipMessage]:
    return [
        SipMessage.parse(each.payload) for each in trace.sip() if (each.tap, each.leaving) == (tap, leaving)
    ]


# -- the worlds --------------------------------------------------------------------------------------


@pytest.mark.needs("emulated")
@pytest.mark.parametrize("scenario", FRAMINGS)
def test_the_worlds_see_the_same(scenario: str, bubble: Bubble) -> None:
    for model in MODELS:
        spec = TrialSpec("home", model, scenario)
        assert difference(inside.run(spec, emulated=False), bubble.call(inside.run, spec)) == ""


@pytest.mark.needs("emulated")
@pytest.mark.parametrize("topology", ["double-nat", "ipv6", "lossy", "proxied"])
def test_the_worlds_see_the_same_on_other_networks(topology: str, bubble: Bubble) -> None:
    for scenario in FRAMINGS[1:4]:
        spec = TrialSpec(topology, "correct", scenario)
        in_memory = inside.run(spec, emulated=False)
        assert in_memory.result["outcome"] == "pass"
        assert difference(in_memory, bubble.call(inside.run, spec)) == ""


@pytest.mark.needs("emulated")
def test_udp_leaves_no_trace_of_tcp(bubble: Bubble) -> None:
    run = bubble.call(inside.run, TrialSpec("home", "none", "register"))
    assert '"segment"' not in run.trace


@pytest.mark.needs("kernel-alg")
@pytest.mark.parametrize("framing", ["pipelined", pytest.param("split", marks=pytest.mark.deep)])
def test_the_kernels_own_alg_does_what_its_model_does(framing: str) -> None:
    """The segments that entered the kernel go into a gateway with the model; all output must be equal."""
    spec = TrialSpec("home", "linux", f"tcp-call(duration=1,framing={framing})", gateway="kernel")
    result, trace = runner.run_traced(spec, "emulated")
    assert result.outcome == "pass"
    gateway = kernel_like("linux")
    carried = 0
    for passage in trace.passages:
        modelled = gateway.handle(passage.packet, passage.side, passage.now)
        left = [
            [segment(each.packet) for each in emissions if each.side is not None]
            for emissions in (modelled, passage.emissions)
        ]
        if passage.packet[9] == ip.TCP:
            assert left[0] == left[1]
            carried += bool(ip.parse(passage.packet).payload)
    assert carried >= 20


class Caller(Agent):
    """Sends one segment, and records what comes back."""

    def __init__(self, local: Endpoint, packet: bytes) -> None:
        super().__init__()
        self.local = local
        self.packet = packet
        self.heard: deque[ip.Packet] = deque()

    def start(self, now: float) -> list[Action]:
        remote = ip.parse(self.packet).destination
        return [Listen(self.local, "tcp"), SendSegment(self.local, remote, self.packet)]

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        raise AssertionError("nobody sends datagrams here")

    def receive_segment(self, packet: bytes, now: float) -> list[Action]:
        self.heard.append(ip.parse(packet))
        return []


@pytest.mark.parametrize(
    ("flags", "answer"), [(SYN, RST | ACK), (ACK, RST), (SYN | ACK, RST), (RST, None)], ids=str
)
@pytest.mark.needs("emulated")
def test_where_nobody_listens_the_kernel_answers_as_foretold(
    flags: int, answer: int | None, bubble: Bubble
) -> None:
    heard, problems = bubble.call(knock, flags)
    assert heard == ([] if answer is None else [answer])
    assert problems == []


def knock(flags: int) -> tuple[list[int], list[str]]:
    """Inside a bubble: a segment to a closed port. The world itself compares the kernel's answer."""
    running = inside.lab()
    world = running.trial(inside.plain(running.network), 0)
    local = Endpoint(PHONE.ip, 5060)
    remote = Endpoint(REGISTRAR.ip, 5999)
    caller = Caller(local, ip.tcp(local, remote, b"x" if flags == ACK else b"", seq=7, ack=9, flags=flags))
    world.add("phone", caller)
    world.idle(1.0)
    return [each.flags for each in caller.heard], world.close()


_PROGRAM = """
import socket
connection = socket.create_connection(("198.51.100.10", 5060), 20)
connection.settimeout(20)
for number in (1, 2):
    lines = ["OPTIONS sip:198.51.100.10 SIP/2.0", "Via: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK%d" % number]
    lines += ["Max-Forwards: 70", "From: <sip:a@lab.test>;tag=1", "To: <sip:198.51.100.10>", "Call-ID: 1"]
    lines += ["CSeq: %d OPTIONS" % number, "Subject: " + 3000 * "x", "Content-Length: 0", "", ""]
    connection.sendall("\\r\\n".join(lines).encode())
    print(connection.recv(65536).split(b"\\r\\n")[0].decode(), flush=True)
"""


@pytest.mark.needs("emulated")
@pytest.mark.parametrize("host", ["phone", "far-phone"])
def test_a_program_with_the_kernels_tcp_talks_to_the_labs_server(host: str, bubble: Bubble) -> None:
    """Through the router, and on the server's own network."""
    assert bubble.call(ask, host) == ("SIP/2.0 200 OK\nSIP/2.0 200 OK\n", [])


def ask(host: str) -> tuple[str, list[str]]:
    """Inside a bubble: a program asks the server twice over one connection."""
    running = inside.lab()
    world = LiveWorld(running, inside.plain(running.network), 0)
    config = ServerConfig(domain="lab.test", users={}, ip="198.51.100.10", transports=("tcp",))
    world.add("registrar", SipServer(config, random.Random(1)))
    with tempfile.TemporaryFile() as output:
        program = world.start(host, [sys.executable, "-c", _PROGRAM], stdout=output.fileno())
        world.wait(program, inside.PATIENCE)
        output.seek(0)
        return output.read().decode(), world.close()


# -- how messages are divided into segments ------------------------------------------------------------


def test_whole_messages_have_segments_of_their_own() -> None:
    _, trace = traced("none", "tcp-call")
    for payload in payloads(trace, "phone", leaving=True):
        assert [complete for _, complete in split_stream(payload)] == [True]


def test_pipelined_messages_share_segments() -> None:
    _, trace = traced("none", "tcp-call(framing=pipelined)")
    shared = [
        [SipMessage.parse(piece).start_line.split()[0:2] for piece, _ in split_stream(payload)]
        for payload in payloads(trace, "phone", leaving=True)
    ]
    assert any([row[0] for row in each] == [b"ACK", b"INVITE"] for each in shared)
    assert any([row[1] for row in each] == [b"180", b"200"] for each in shared)


def test_split_messages_are_cut_in_the_middle() -> None:
    _, trace = traced("none", "tcp-call(framing=split)")
    parts = payloads(trace, "phone", leaving=True)
    assert len(parts) % 2 == 0
    for first, second in zip(parts[::2], parts[1::2], strict=True):
        assert [complete for _, complete in split_stream(first)] == [False]
        assert [complete for _, complete in split_stream(first + second)] == [True]


def test_large_messages_fill_several_segments() -> None:
    _, trace = traced("none", "tcp-call(padding=3000)")
    sizes = [len(each) for each in payloads(trace, "phone", leaving=True)]
    assert max(sizes) == 1460
    assert any(one == other == 1460 for one, other in pairwise(sizes))


# -- what routers do -------------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", FRAMINGS)
def test_a_correct_alg_translates_every_message(scenario: str) -> None:
    """However messages are segmented, none that the server gets names the phone's private address."""
    result, trace = traced("correct", scenario)
    assert result.outcome == "pass"
    assert result.packets_changed
    for message in messages(trace, "registrar", leaving=False):
        contact = message.value(b"contact")
        assert contact is None or b"192.168." not in contact
        assert b"192.168." not in message.body


def test_an_alg_without_reassembly_lets_split_messages_pass() -> None:
    whole = traced("tcp-split-unprocessed", "tcp-call")[0]
    split = traced("tcp-split-unprocessed", "tcp-call(framing=split)")[0]
    assert whole.packets_changed
    assert not split.packets_changed


def test_an_alg_that_does_not_count_breaks_the_connection() -> None:
    result, trace = traced("tcp-seq-desync", "tcp-call")
    assert result.outcome == "fail"
    assert [check.name for check in result.checks if check.passed and check.name == "registered"] == []
    again = [each for each in trace if isinstance(each, Segment) and each.host == "phone" and each.leaving]
    sent = [ip.parse(each.packet) for each in again]
    carried = [(each.seq, each.payload) for each in sent if each.payload]
    assert len(carried) > len(set(carried)), "the phone repeats what is never acknowledged"


def test_an_alg_that_ignores_tcp_changes_nothing() -> None:
    result, trace = traced("tcp-ignored", "tcp-call")
    assert not any(
        emission.changed
        for each in trace
        if isinstance(each, Passage) and each.packet[9] == ip.TCP
        for emission in each.emissions
    )
    assert result.outcome == "pass"


# -- agents ----------------------------------------------------------------------------------------------


def _stage(**phone: object) -> Stage:
    net = trial.network("home")
    world = SimulatedWorld(net, {"router": NONE}, 0)
    setup = Setup({"router": "none"}, phone=phone, server={"transports": ("udp", "tcp")})
    return Stage(world, setup, 0)


def test_one_phone_over_tcp_and_one_over_udp() -> None:
    stage = _stage(transport="tcp")
    phone, far = stage.phone, stage.far_phone
    for each in (phone, far):
        stage.do(each, each.register)
    stage.idle(1.0)
    for caller, callee, target in ((phone, far, "bob@lab.test"), (far, phone, "alice@lab.test")):
        stage.do(caller, lambda now, caller=caller, target=target: caller.call(target, now))  # type: ignore[misc]
        stage.until(lambda callee=callee: callee.calls[-1].confirmed if callee.calls else False, 10.0)  # type: ignore[misc]
        assert callee.calls[-1].confirmed
        stage.do(callee, callee.hang_up)
        stage.idle(1.0)
        assert caller.calls[-1].over
        assert caller.calls[-1].reason == "BYE received"


def test_no_request_or_response_is_repeated_over_tcp() -> None:
    """RFC 3261 section 17: timers A, E and G are for unreliable transports only."""
    stage = _stage(transport="tcp", ring_time=None)
    far = stage.far_phone
    stage.do(far, far.register)
    stage.do(stage.phone, stage.phone.register)
    stage.idle(1.0)
    stage.do(far, lambda now: far.call("alice@lab.test", now))
    stage.idle(20.0)
    stage.do(stage.phone, stage.phone.answer)
    stage.idle(20.0)
    seen = [bytes(each) for each in messages(stage.world.trace, "phone", leaving=False)]
    assert len(seen) == len(set(seen))
    sent = [bytes(each) for each in messages(stage.world.trace, "phone", leaving=True)]
    assert len(sent) == len(set(sent))


def test_requests_come_by_the_connection_of_the_registration() -> None:
    """The idea of RFC 5923: only this connection gets through the NAT."""
    stage = _stage(transport="tcp")
    stage.do(stage.phone, stage.phone.register)
    stage.do(stage.far_phone, stage.far_phone.register)
    stage.idle(600.0)
    stage.do(stage.far_phone, lambda now: stage.far_phone.call("alice@lab.test", now))
    stage.idle(3.0)
    assert stage.phone.calls[-1].confirmed
    opened = {
        (packet.source, packet.seq)
        for each in stage.world.trace
        if isinstance(each, Segment)
        and (packet := ip.parse(each.packet)).flags & (SYN | ACK) == SYN
        and each.host == "phone"
    }
    assert len(opened) == 1


def test_a_phone_notices_that_its_connection_is_gone_and_comes_back() -> None:
    stage = _stage(transport="tcp", keepalive="crlf-crlf", keepalive_interval=30.0)
    phone = stage.phone
    stage.do(phone, phone.register)
    stage.idle(1.0)
    assert phone.registration.state is RegistrationState.REGISTERED
    stage.world.reboot("router")
    stage.until(lambda: phone.registration.state is RegistrationState.FAILED, 1000.0)
    assert any(event.kind == "connection-lost" for event in phone.events)
    assert stage.until(lambda: phone.registration.state is RegistrationState.REGISTERED, 200.0)


def test_a_server_without_tcp_refuses() -> None:
    stage = _stage(transport="tcp")
    stage.setup = Setup({"router": "none"}, phone={"transport": "tcp"})
    phone = stage.phone
    stage.do(phone, phone.register)
    stage.idle(1.0)
    assert phone.registration.state is RegistrationState.FAILED
    assert any(event.detail.endswith("refused") for event in phone.events)


# -- the trace -------------------------------------------------------------------------------------------


def test_a_trace_with_segments_can_be_written_and_read() -> None:
    _, trace = traced("correct", "tcp-call(framing=split)")
    text = trace.to_json_lines()
    assert from_json_lines(text).to_json_lines() == text


def test_the_trace_has_each_message_once_at_each_tap() -> None:
    split, whole = (
        [(each.tap, each.leaving, SipMessage.parse(each.payload).start_line) for each in found.sip()]
        for found in (traced("none", spec)[1] for spec in ("tcp-call(framing=split)", "tcp-call"))
    )
    assert split == whole
    assert len([row for row in whole if row[:2] == ("router/inside", False)]) == len(
        [row for row in whole if row[:2] == ("phone", True)]
    )


def test_a_bad_framing_is_refused() -> None:
    with pytest.raises(UsageError, match="framing"):
        trial.check_spec(TrialSpec("home", "none", "tcp-call(framing=chopped)"))
