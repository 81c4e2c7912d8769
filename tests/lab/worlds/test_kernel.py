"""The kernel's own NAT and SIP ALG as gateway: the same calls through them as through their models."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from siplab.experiments.calibration.model_side import KERNEL_NAT
from siplab.experiments.trial import run as trial
from siplab.experiments.trial import runner
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from siplab.lab.gateway.fate import Fate
from siplab.lab.gateway.gateway import Emission, Gateway
from siplab.lab.gateway.sides import Side
from siplab.lab.wire import ip
from siplab.lab.wire.fragments import fragmented
from siplab.lab.wire.icmp import TIME_EXCEEDED, icmp_error
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.base import make_gateways
from siplab.lab.worlds.emulated.kernel import MODELS
from siplab.lab.worlds.emulated.kernel_tap import Pairing, Seen, account
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.trace import Passage
from tests.command import one_line_error, siplab

SCENARIOS = ("register", "outgoing-call(duration=1)", "incoming-call(duration=1)")
PHONE, PUBLIC, SERVER = (Endpoint(each, 5060) for each in ("192.168.1.102", "203.0.113.7", "198.51.100.10"))
# A program that asks the server for its options, and prints what it answers.
ASKS = r"""
import socket
asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asked.settimeout(20)
asked.bind(("192.168.1.102", 5060))
lines = [
    "OPTIONS sip:198.51.100.10 SIP/2.0", "Via: SIP/2.0/UDP 192.168.1.102:5060;branch=z9hG4bK1",
    "From: <sip:a@192.168.1.102:5060>;tag=1", "To: <sip:198.51.100.10>", "Call-ID: 1", "CSeq: 1 OPTIONS",
    "Max-Forwards: 70", "Content-Length: 0", "", "",
]
asked.sendto("\r\n".join(lines).encode(), ("198.51.100.10", 5060))
print(asked.recvfrom(4000)[0].decode().splitlines()[0])
"""
# A server that sends back what it gets, and a phone that sends a message, then two in one segment, then one
# that is cut in two.
ECHOES = r"""
import socket
listening = socket.create_server(("198.51.100.10", 5060))
connection = listening.accept()[0]
while got := connection.recv(65536):
    connection.sendall(got)
"""
CONNECTS = r"""
import socket, time
def message(number):
    lines = [
        "OPTIONS sip:198.51.100.10 SIP/2.0", "Via: SIP/2.0/TCP 192.168.1.102:5060;branch=z9hG4bK1",
        "To: <sip:b@lab.test>",
        "From: <sip:a@192.168.1.102:5060>;tag=1", f"CSeq: {number} OPTIONS", "Content-Length: 0", "", "",
    ]
    return "\r\n".join(lines).encode()
deadline = time.monotonic() + 20
while True:
    try:
        connection = socket.create_connection(("198.51.100.10", 5060), 20, ("192.168.1.102", 5060))
        break
    except ConnectionRefusedError:  # it does not listen yet
        if time.monotonic() > deadline:
            raise
        time.sleep(0.05)
connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
sent = [message(1), message(2) + message(3), message(4)[:60], message(4)[60:]]
for piece in sent:
    connection.sendall(piece)
    connection.recv(65536)  # the segment is through when its echo is back
connection.close()
"""


def left(emissions: Iterable[Emission]) -> list[tuple[Side, Endpoint, Endpoint, bytes]]:
    """The datagrams that were forwarded."""
    parsed = [(each.side, ip.parse(each.packet)) for each in emissions if each.side is not None]
    return [(side, each.source, each.destination, each.payload) for side, each in parsed if side is not None]


def segment(packet: bytes) -> tuple[Endpoint, Endpoint, int, int, int, bytes]:
    """The parts of a TCP packet that matter to the two sides."""
    parsed = ip.parse(packet)
    return parsed.source, parsed.destination, parsed.flags, parsed.seq, parsed.ack, parsed.payload


def kernel_like(model: str) -> Gateway:
    """The router of the topology `home` with a model, and a NAT that chooses as the kernel's does."""
    home = trial.network("home").topology
    router = home.routers["router"].model_copy(update={"nat": KERNEL_NAT})
    network = Network(home.model_copy(update={"routers": {**home.routers, "router": router}}))
    return make_gateways(network, {"router": trial.models().get(model)}, 1)["router"]


# -- trials ------------------------------------------------------------------------------------------


@pytest.mark.needs("kernel-alg")
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("model", MODELS)
def test_a_kernel_does_what_its_model_does(model: str, scenario: str) -> None:
    real, trace = runner.run_traced(TrialSpec("home", model, scenario, gateway="kernel"), "emulated")
    modelled, _ = runner.run_traced(TrialSpec("home", model, scenario), "simulated")
    assert real.errors == []
    assert [(each.name, each.passed) for each in real.checks] == [
        (each.name, each.passed) for each in modelled.checks
    ]

    # Play the packets that entered the kernel into a gateway with the model.
    gateway = kernel_like(model)
    messages = 0
    for passage in trace.passages:
        assert left(gateway.handle(passage.packet, passage.side, passage.now)) == left(passage.emissions)
        messages += ip.parse(passage.packet).dport == 5060
    assert messages >= 4
    assert (real.packets_changed > 0) is (model == "linux")


@pytest.mark.needs("kernel-alg")
def test_every_packet_is_accounted_for_with_its_checksums() -> None:
    spec = TrialSpec("home", "linux", "outgoing-call(duration=1)", gateway="kernel")
    _, trace = runner.run_traced(spec, "emulated")
    for passage in trace.passages:
        assert ip.verify(passage.packet) == []
        assert passage.emissions
        for emission in passage.emissions:
            assert ip.verify(emission.packet) == []
            if emission.side is not None:
                assert emission.side is passage.side.other
                assert ip.parse(emission.packet).ttl == ip.parse(passage.packet).ttl - 1
            else:
                assert emission.fate is Fate.DROPPED_BY_KERNEL


@pytest.mark.needs("kernel-alg")
def test_one_trial_leaves_nothing_to_the_next() -> None:
    """Otherwise the second phone's registration would meet the first one's connection in the kernel."""
    specs = [TrialSpec("home", "linux", "register", seed=seed, gateway="kernel") for seed in (1, 2)]
    specs.append(TrialSpec("home", "linux", "register", mitigations=("alg-off",), gateway="kernel"))
    results = runner.run_all(specs, world="emulated")
    assert [each.outcome for each in results] == ["pass"] * 3
    changed = [each.packets_changed for each in results]
    assert changed[0] == changed[1] > 0
    assert changed[2] == 0  # the ALG switched off: like a kernel without it


@pytest.mark.needs("kernel-alg")
def test_an_experiment_runs_both_kernels_and_writes_what_was_seen(tmp_path: Path) -> None:
    file = tmp_path / "kernel.yaml"
    file.write_text("id: kernel\ngateway: kernel\nscenarios: [register]\n")
    done = siplab("run", str(file), "--out", str(tmp_path / "out"), "--traces", "all")
    assert done.returncode == 0, done.stderr
    trials = json.loads((tmp_path / "out" / "results.json").read_text())["trials"]
    assert [(each["model"], each["gateway"], each["outcome"]) for each in trials] == [
        ("linux", "kernel", "pass"),
        ("none", "kernel", "pass"),
    ]
    captures = {path.name: path.stat().st_size for path in (tmp_path / "out").glob("*.pcapng")}
    assert len(captures) == 6  # of all taps, and of each side
    assert min(captures.values()) > 2000  # eight messages at a tap, not an empty capture


@pytest.mark.needs("kernel-alg")
def test_a_ladder_shows_what_the_kernel_changed() -> None:
    done = siplab("call", "--gateway", "kernel", "--scenario", "register")
    assert done.returncode == 0, done.stderr
    assert "before  Contact: <sip:alice@[-192.168.1.102-]:5060>" in done.stdout
    assert "after   Contact: <sip:alice@{+203.0.113.7+}:5060>" in done.stdout


@pytest.mark.needs("kernel-alg")
@pytest.mark.parametrize(("options", "seen"), [((), "203.0.113.7"), (("--model", "none"), "192.168.1.102")])
def test_a_program_behind_a_kernel(options: tuple[str, ...], seen: str, tmp_path: Path) -> None:
    """A program that is not one of the lab's agents; the answer shows how the server sees its address."""
    trace = tmp_path / "trace.jsonl"
    done = siplab(
        "exec", "--gateway", "kernel", *options, "--with", "server", "--trace", str(trace), "phone", "--",
        sys.executable, "-c", ASKS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("SIP/2.0 200")
    records = [json.loads(line) for line in trace.read_text().splitlines()]
    heard = [each["text"] for each in records if each["kind"] == "received" and each["host"] == "registrar"]
    assert f"From: <sip:a@{seen}:5060>;tag=1" in heard[0]
    assert [each["side"] for each in records if each["kind"] == "passage"] == ["inside", "outside"]


@pytest.mark.needs("kernel-alg")
def test_a_connection_through_a_kernel_is_one_through_its_model(tmp_path: Path) -> None:
    """TCP: the rewriting, and the adjustment of sequence numbers after it."""
    trace, server = tmp_path / "trace.jsonl", tmp_path / "server.py"
    server.write_text(ECHOES)
    done = siplab(
        "exec", "--gateway", "kernel", "--also", f"registrar={sys.executable} {server}",
        "--trace", str(trace), "phone", "--", sys.executable, "-c", CONNECTS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    gateway = kernel_like("linux")
    rewritten = 0
    for line in trace.read_text().splitlines():
        record = json.loads(line)
        if record["kind"] != "passage":
            continue
        side = Side[record["side"].upper()]
        entered = base64.b64decode(record["packet"])
        real = [base64.b64decode(each["packet"]) for each in record["emissions"] if each["side"]]
        modelled = gateway.handle(entered, side, record["now"])
        assert [segment(each) for each in real] == [
            segment(each.packet) for each in modelled if each.side is not None
        ]
        rewritten += any(ip.parse(each).payload != ip.parse(entered).payload for each in real)
    assert rewritten >= 4  # two segments out, and their echoes


# -- bad input -----------------------------------------------------------------------------------------


def test_a_kernel_is_no_other_model() -> None:
    done = siplab("call", "--gateway", "kernel", "--model", "correct", "--scenario", "register")
    one_line_error(done, "'correct'", "'linux'", "'none'", "queue")
    done = siplab("exec", "--gateway", "kernel", "--model", "linux(kernel=2.6.36)", "phone", "--", "true")
    one_line_error(done, "linux(kernel=2.6.36)", "gateway 'kernel'")


def test_an_experiment_names_a_gateway_and_a_model_that_fit(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text("id: wrong\ngateway: kernel\nmodels: [correct]\nscenarios: [register]\n")
    one_line_error(siplab("run", str(file)), "'correct'", "gateway 'kernel'")
    file.write_text("id: wrong\ngateway: kernal\nscenarios: [register]\n")
    one_line_error(siplab("run", str(file)), "wrong.yaml:2", "gateway")


def test_a_kernel_can_not_be_simulated() -> None:
    done = siplab("call", "--gateway", "kernel", "--scenario", "register", "--world", "simulated")
    one_line_error(done, "gateway 'kernel'")


def test_a_kernel_has_no_impaired_networks() -> None:
    with pytest.raises(UsageError, match="lossy"):
        trial.check_spec(TrialSpec("lossy", "linux", "register", gateway="kernel"))


# -- which packet became which -------------------------------------------------------------------------


def paired(*seen: Seen) -> list[Passage]:
    pairing = Pairing("router")
    passages = [passage for each in seen if (passage := pairing.add(each, 1.0)) is not None]
    for passage in passages:
        account(passage)
    return passages


def on(packet: bytes, identification: int) -> bytes:
    header = bytearray(packet)
    header[4:6] = identification.to_bytes(2, "big")
    header[10:12] = b"\0\0"
    header[10:12] = ip.checksum(bytes(header[:20])).to_bytes(2, "big")
    return bytes(header)


def test_a_packet_belongs_to_the_one_that_entered_with_its_number() -> None:
    """With two processors, packets may overtake each other on the way."""
    first, second = (on(ip.udp(PHONE, SERVER, b"x" * size), size) for size in (1, 2))
    out = [ip.decrement_ttl(on(ip.udp(PUBLIC, SERVER, b"x" * size), size)) for size in (1, 2)]
    one, two = paired(
        Seen(Side.INSIDE, False, first),
        Seen(Side.INSIDE, False, second),
        Seen(Side.OUTSIDE, True, out[1]),
        Seen(Side.OUTSIDE, True, out[0]),
    )
    assert left(one.emissions) == [(Side.OUTSIDE, PUBLIC, SERVER, b"x")]
    assert left(two.emissions) == [(Side.OUTSIDE, PUBLIC, SERVER, b"xx")]


def test_what_did_not_leave_was_dropped_and_the_next_is_not_taken_for_it() -> None:
    lost, kept = (on(ip.udp(PHONE, SERVER, b"x" * size), 0) for size in (1, 2))
    out = ip.decrement_ttl(ip.udp(PUBLIC, SERVER, b"zz"))
    one, two = paired(
        Seen(Side.INSIDE, False, lost), Seen(Side.INSIDE, False, kept), Seen(Side.OUTSIDE, True, on(out, 0))
    )
    assert [(each.side, each.fate) for each in one.emissions] == [(None, Fate.DROPPED_BY_KERNEL)]
    assert [(each.side, each.changed) for each in two.emissions] == [(Side.OUTSIDE, True)]


def test_what_the_router_makes_itself_is_told_apart() -> None:
    entered = on(ip.udp(PHONE, SERVER, b"x", ttl=1), 7)
    error = icmp_error("192.168.1.1", TIME_EXCEEDED, entered)
    (passage,) = paired(Seen(Side.INSIDE, False, entered), Seen(Side.INSIDE, True, error))
    assert [(each.side, each.originated) for each in passage.emissions] == [(Side.INSIDE, True)]


def test_fragments_wait_for_their_datagram() -> None:
    whole = ip.udp(PHONE, SERVER, b"x" * 2000, dont_fragment=False)
    pieces = fragmented(whole, 1500, identification=9)
    translated = ip.decrement_ttl(ip.udp(PUBLIC, SERVER, b"x" * 2000, dont_fragment=False))
    out = fragmented(translated, 1500, identification=9)
    one, two = paired(
        *(Seen(Side.INSIDE, False, each) for each in pieces),
        *(Seen(Side.OUTSIDE, True, each) for each in out),
    )
    assert [each.fate for each in one.emissions] == [Fate.FRAGMENT_KEPT]
    assert [each.packet for each in two.emissions] == out
