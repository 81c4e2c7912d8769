"""``siplab detect`` over real sockets: on the loopback interface, and in a lab with real routers."""

from __future__ import annotations

import base64
import json
import os
import random
import select
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

from siplab.experiments.detect import run as running
from siplab.experiments.detect.report import Report, Way, vendors_with
from siplab.experiments.detect.streams import Exchange, judge
from siplab.experiments.programs import ProgramDetector
from siplab.experiments.trial import runner
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from siplab.lab.probing.anti_amplification import ADMIT, HELLO
from siplab.lab.probing.probe_messages import description, obfuscated, request
from siplab.lab.probing.probe_wire import MAGIC
from siplab.lab.probing.reflector import CONTROL_PORT
from siplab.lab.probing.stream_mirror import METHODS, Reflection
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage, split_stream
from tests.command import siplab
from tests.conftest import ROOT, missing

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs all of 127.0.0.0/8")

_SIPLAB = [sys.executable, "-m", "siplab"]
_TAKEN: Iterator[int] = iter(range(2, 250))


def own_loopback() -> str:
    """An address of this machine that no other test has."""
    return f"127.{os.getpid() // 250 % 250 + 1}.{os.getpid() % 250 + 1}.{next(_TAKEN)}"


class Serving:
    """A running ``siplab detect serve``."""

    def __init__(self, ip: str, *arguments: str) -> None:
        self.ip = ip
        self.lines: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            [*_SIPLAB, "detect", "serve", "--host", ip, "--json-log", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], 60)
        assert readable, "the server did not say anything"
        self.first = json.loads(self.process.stdout.readline())

    def stop(self, how: signal.Signals = signal.SIGTERM) -> dict[str, Any]:
        """End it; returns its last line."""
        self.process.send_signal(how)
        out, _ = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, out
        self.lines = [json.loads(line) for line in out.splitlines()]
        return self.lines[-1]

    @property
    def resident(self) -> int:
        """Resident memory, in KiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])


@contextmanager
def serving(*arguments: str, ip: str = "") -> Iterator[Serving]:
    made = Serving(ip or own_loopback(), *arguments)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.kill()
            made.process.communicate()


def detect(server: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = siplab("detect", "run", server, "--json", *arguments)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


# -- a network without a router ------------------------------------------------------------------------


def test_a_clean_network_is_clean_on_every_way() -> None:
    with serving("--tls-self-signed") as server:
        status, report = detect(server.ip)
        last = server.stop()
    assert status == 0
    assert report["verdict"] == "clean"
    ways = {(each["transport"], each["port"]): each["verdict"] for each in report["ways"]}
    assert ways == dict.fromkeys(
        [("UDP", 5060), ("UDP", 6060), ("TCP", 5060), ("TCP", 6060), ("TLS", 5061)], "clean"
    )
    assert report["changed"] == []
    assert last["event"] == "stopped"
    assert last.get("answers withheld", 0) == 0
    assert last.get("problems", 0) == 0


def test_tls_with_a_certificate_of_ones_own(tmp_path: Path) -> None:
    made = trustme.CA().issue_cert("detect.test")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made.cert_chain_pems[0].write_to_path(cert)
    made.private_key_pem.write_to_path(key)
    with serving("--tls-cert", str(cert), "--tls-key", str(key)) as server:
        served = ssl.get_server_certificate((server.ip, running.TLS_PORT), timeout=10)
        report = running.run(running.Request(server.ip))
    assert served.split() == cert.read_text().split()
    assert [each.verdict for each in report.ways if each.transport == "TLS"] == ["clean"]


@pytest.mark.skipif(not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists(), reason="no IPv6 here")
def test_ipv6_and_all_addresses() -> None:
    made = subprocess.Popen(
        [*_SIPLAB, "detect", "serve", "--host", "::1"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert made.stdout is not None
        line = made.stdout.readline()
        if "listening" not in line:
            missing(f"::1 is not free here: {line}")
        status, report = detect("::1", "--tls-port", "0")
    finally:
        made.terminate()
        made.communicate(timeout=30)
    assert (status, report["verdict"]) == (0, "clean")
    assert report["own"].startswith("[::1]")


@pytest.mark.parametrize("detector", [each for each in running.DETECTORS if each != "combined"])
def test_every_detector_of_the_table_finds_a_clean_network_clean(detector: str, one_server: Serving) -> None:
    report = running.run(running.Request(one_server.ip, detector=detector, streams=False))
    assert report.verdict == "clean", report.ways


@pytest.fixture(scope="module")
def one_server() -> Iterator[Serving]:
    with serving() as made:
        yield made


def test_nobody_there_is_undecided_and_does_not_hang() -> None:
    began = time.monotonic()
    status, report = detect(own_loopback(), "--timeout", "5")
    assert status == 3
    assert report["verdict"] == "undecided"
    assert "does not answer at UDP port 7077" in report["ways"][0]["detail"]
    assert report["untested"]
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "no-such-host.invalid"), ["no-such-host.invalid", "address"]),
        (("run", "127.0.0.1", "--detector", "mirror"), ["mirror", "combined"]),
        (("run", "127.0.0.1", "--detector", "moon"), ["moon", "siplab detectors"]),
        (("run", "127.0.0.1", "-4", "-6"), ["--ipv4", "--ipv6"]),
        (("run", "::1", "-4"), ["::1", "IPv4"]),
        (("serve", "--host", "192.0.2.1"), ["192.0.2.1", "7077"]),
        (("serve", "--tls-cert", "/nowhere.pem"), ["/nowhere.pem", "no such file"]),
        (("serve", "--tls-key", "/nowhere.pem"), ["--tls-cert"]),
        (("serve", "--tls-cert", str(ROOT / "README.md")), ["README.md", "PEM"]),
    ],
)
def test_bad_input_is_one_line(arguments: tuple[str, ...], words: list[str]) -> None:
    done = siplab("detect", *arguments)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    for word in words:
        assert word in done.stderr


def test_a_port_that_is_taken_is_said(one_server: Serving) -> None:
    done = siplab("detect", "serve", "--host", one_server.ip)
    assert done.returncode == 2
    assert "in use" in done.stderr


def test_a_phone_port_that_is_taken_is_said_or_gone_round(one_server: Serving) -> None:
    own = "127.0.0.1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind((own, 0))
        taken = phone.getsockname()[1]
        with pytest.raises(UsageError, match="--local-port"):
            running.run(running.Request(one_server.ip, local_port=taken))


def test_it_ends_on_ctrl_c() -> None:
    with serving() as server:
        assert server.first["event"] == "listening"
        assert server.stop(signal.SIGINT)["event"] == "stopped"


# -- the public clients ----------------------------------------------------------------------------------


def _mirror_request(local: Endpoint, transport: str) -> bytes:
    wire = request(
        b"INVITE", b"tag", local, body=description(local), uri=b"sip:sip-alg-detector-daemon@x:5060"
    )
    return wire.replace(b"SIP/2.0/UDP", b"SIP/2.0/" + transport.encode(), 1)


def test_a_client_of_the_base64_mirror_over_udp_and_tcp(one_server: Serving) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.connect((one_server.ip, 5060))
        wire = _mirror_request(Endpoint(*sock.getsockname()), "UDP")
        sock.send(wire)
        assert _rebuilt([sock.recv(65535), sock.recv(65535)]) == wire
    with socket.create_connection((one_server.ip, 5060), 10) as stream:
        wire = _mirror_request(Endpoint(*stream.getsockname()), "TCP")
        stream.sendall(wire)
        buffer = b""
        while sum(complete for _, complete in split_stream(buffer)) < 2:
            data = stream.recv(65535)
            assert data
            buffer += data
        assert _rebuilt([piece for piece, _ in split_stream(buffer)]) == wire


def _rebuilt(answers: list[bytes]) -> bytes:
    messages = [SipMessage.parse(each) for each in answers]
    assert [each.status for each in messages] == [180, 500]
    assert messages[0].value(b"server") == b"SipAlgDetectorDaemon"
    return b"".join(base64.b64decode(each.body) for each in messages)


@pytest.mark.parametrize(("lie", "result"), [(b"", b"Pass"), (b"203.0.113.7", b"Failed. SIP ALG Detected")])
def test_a_client_with_a_hidden_source(one_server: Serving, lie: bytes, result: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.connect((one_server.ip, 6060))
        local = Endpoint(*sock.getsockname())
        wire = request(b"REGISTER", b"tag", local, headers=b"P-AL-SA: " + obfuscated(local) + b"\r\n")
        if lie:  # what an ALG would have made of it
            wire = wire.replace(b"UDP " + local.ip.encode(), b"UDP " + lie)
        sock.send(wire)
        answer = SipMessage.parse(sock.recv(65535))
        assert answer.value(b"p-al-result") == result
        assert answer.value(b"p-al-sa") == obfuscated(local)
        sock.send(b"\r\n\r\n")
        assert sock.recv(65535) == b"\r\n"


# -- under load --------------------------------------------------------------------------------------------


def _noise(rng: random.Random) -> bytes:
    probe = request(b"INVITE", b"q%011x" % rng.getrandbits(44), Endpoint("192.168.1.102", 5060))
    start = rng.choice([b"", MAGIC, ADMIT, HELLO, b"INVITE ", b"SIP/2.0 200 OK\r\n", probe, probe[:200]])
    return start + rng.randbytes(rng.randrange(20 if start == HELLO else 400))


def test_a_flood_of_noise_is_not_answered_and_leaves_nothing() -> None:
    rng = random.Random(1)
    noise = [_noise(rng) for _ in range(500)]
    with serving() as server:
        assert running.run(running.Request(server.ip, streams=False)).verdict == "clean"
        before = server.resident
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for number in range(20_000):
                port = (5060, 6060, CONTROL_PORT, 40400)[number % 4]
                sock.sendto(noise[number % len(noise)], (server.ip, port))
            # Whoever is answered after the flood is answered after the flood was dealt with.
            assert running.run(running.Request(server.ip, streams=False)).verdict == "clean"
            sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                sock.recv(65535)
        grown = server.resident - before
        last = server.stop()
    assert last.get("no probe", 0) + last.get("wrong cookie", 0) + last.get("too often", 0) > 1000
    assert last["accounts"] == 1
    assert last.get("problems", 0) == 0
    assert grown < 8 * 1024


def test_connections_are_few_and_closed_when_they_say_nothing_sensible() -> None:
    with serving() as server:
        streams = [socket.create_connection((server.ip, 5060), 10) for _ in range(20)]
        try:
            closed = _until_closed(streams, 4)  # 16 of one source at a time
            for each in streams:
                if each not in closed:
                    each.sendall(b"GET / HTTP/1.1\r\n\r\n")
            _until_closed(streams, 20)
        finally:
            for each in streams:
                each.close()
        report = running.run(running.Request(server.ip, tls_port=0))
        assert [each.verdict for each in report.ways] == ["clean"] * 4
        last = server.stop()
    assert last["too many connections"] == 4
    assert last["connections"] == 0


def _until_closed(streams: list[socket.socket], count: int) -> list[socket.socket]:
    """Wait until the other side has closed so many; what it sends before is an error."""
    closed: list[socket.socket] = []
    while len(closed) < count:
        ready, _, _ = select.select([each for each in streams if each not in closed], [], [], 10)
        assert ready, f"only {len(closed)} connections were closed"
        for each in ready:
            with suppress(ConnectionError):
                assert each.recv(100) == b""
            closed.append(each)
    return closed


# -- reports ------------------------------------------------------------------------------------------------


def _report(*ways: Way, faults: tuple[str, ...] = ()) -> Report:
    return Report("198.51.100.10:5060", "combined", "192.168.1.102:5060", "", ways, faults)


def test_advice_names_the_ways_that_are_open() -> None:
    report = _report(
        Way("UDP", 5060, "alg", ("Via",), evidence=("x",)),
        Way("UDP", 6060, "clean"),
        Way("TCP", 5060, "clean"),
        Way("TLS", 5061, "clean"),
        faults=("linux",),
    )
    advice = "\n".join(report.advice())
    assert report.verdict == "alg"
    assert "`siplab vendors show mikrotik`" in advice
    assert "UDP port 6060 is left alone" in advice
    assert "SIP over TCP gets through unharmed (port 5060)" in advice
    assert "SIP over TLS gets through unharmed (port 5061)" in advice


_FINE = tuple(Reflection(each.decode()) for each in METHODS)
_WHOLE = Exchange(True, _FINE)
_HALF = Exchange(True, _FINE[:1], "no answer came", "INVITE")
_CHANGED = Exchange(True, (Reflection("REGISTER", ("Via",), ("Contact",)), *_FINE[1:]))


@pytest.mark.parametrize(
    ("seen", "other", "verdict", "changed"),
    [
        ([_WHOLE], _WHOLE, "clean", ()),
        ([_CHANGED], _WHOLE, "alg", ("Via", "Contact")),
        ([_HALF, _HALF], _WHOLE, "alg", ("dropped",)),
        ([_HALF, _HALF], _HALF, "undecided", ()),  # nothing to compare with
        ([_HALF, _HALF], _CHANGED, "undecided", ()),
        ([_HALF, _WHOLE], _WHOLE, "undecided", ()),  # it happened once
        ([_HALF], None, "undecided", ()),
    ],
)
def test_who_keeps_silent_on_one_port_only_is_accused(
    seen: list[Exchange], other: Exchange | None, verdict: str, changed: tuple[str, ...]
) -> None:
    way = judge("TCP", 5060, seen, other)
    assert (way.verdict, way.changed) == (verdict, changed)
    assert bool(way.evidence) == (verdict == "alg")


@pytest.mark.parametrize(
    ("ways", "verdict"),
    [
        ([], "undecided"),
        ([Way("UDP", 5060, "clean"), Way("TCP", 5060, "undecided")], "clean"),
        ([Way("UDP", 5060, "clean"), Way("TCP", 5060, "alg", ("Via",))], "alg"),
        ([Way("UDP", 5060, "undecided"), Way("TCP", 5060, "clean")], "undecided"),
    ],
)
def test_the_verdict_over_all_ways(ways: list[Way], verdict: str) -> None:
    assert _report(*ways).verdict == verdict


def test_vendors_are_named_for_their_own_model_only() -> None:
    assert "mikrotik" in vendors_with(["linux(kernel=2.6.36)"])
    assert vendors_with(["correct"]) == []


# -- behind real routers ------------------------------------------------------------------------------------


_TOOL = ProgramDetector.from_options(
    client=f"{sys.executable} -m siplab detect run {{server_ip}}",
    server=f"{sys.executable} -m siplab detect serve",
    id="siplab-detect",
    alg_exit=[1],
    clean_exit=[0],
    undecided_exit=[3],
    ready_port=f"udp/{CONTROL_PORT}",
    timeout=100.0,
    here=str(ROOT),
)


@pytest.mark.needs("emulated")
@pytest.mark.parametrize(
    ("model", "verdict"),
    [
        ("none", "clean"),
        pytest.param("correct", "alg", marks=pytest.mark.deep),
        ("linux", "alg"),
        ("semicolon-loss", "alg"),
        pytest.param("options-answered-locally", "alg", marks=pytest.mark.deep),
    ],
)
def test_behind_an_emulated_router(model: str, verdict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (result,) = runner.run_all([TrialSpec("home", model, detector=_TOOL)], world="emulated")
    assert result.errors == []
    assert result.finding is not None
    assert result.finding.verdict == verdict, result.finding.detail
