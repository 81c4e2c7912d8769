"""``siplab up``, and the commands that reach a lab that is up."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from siplab.experiments.interactive import line
from siplab.experiments.interactive.capture import LiveCapture
from siplab.lab.errors import UsageError
from siplab.lab.gateway.sides import Emission, Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.trace import Passage, Sent
from tests.command import siplab

PHONE, SERVER = Endpoint("192.168.1.102", 5060), Endpoint("198.51.100.10", 5060)


class Up:
    """A lab that is up, in a folder of its own for sockets."""

    def __init__(self, folder: Path) -> None:
        self.environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "siplab", "up", "home", "--with", "server", "--name", "one"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=self.environment,
            text=True,
        )
        assert self.process.stderr is not None
        self.greeting = self.process.stderr.readline()

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        if arguments[0] not in ("exec", "capture"):  # which have the real standard output written to
            return siplab(*arguments, XDG_RUNTIME_DIR=self.environment["XDG_RUNTIME_DIR"])
        return subprocess.run(
            [sys.executable, "-m", "siplab", *arguments],
            input=stdin,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    up = Up(tmp_path_factory.mktemp("run"))
    yield up
    up.close()


def ask(number: int) -> str:
    """A program that sends OPTIONS from one port and says whether an answer came."""
    lines = [
        "OPTIONS sip:198.51.100.10 SIP/2.0",
        f"Via: SIP/2.0/UDP 192.168.1.102:5080;branch=z9hG4bK{number};rport",
        "From: <sip:a@b>;tag=1",
        "To: <sip:b@b>",
        f"Call-ID: {number}@192.168.1.102",
        "CSeq: 1 OPTIONS",
        "Max-Forwards: 70",
        "Content-Length: 0",
    ]
    request = "".join(f"{each}\r\n" for each in [*lines, ""]).encode()
    return (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5); "
        f"s.bind(('192.168.1.102', 5080)); s.sendto({request!r}, ('198.51.100.10', 5060)); "
        "print(s.recv(2000).decode().split()[1])"
    )


@pytest.mark.needs("emulated")
def test_a_lab_stays_and_others_reach_it(lab: Up, tmp_path: Path) -> None:
    assert "the lab 'one' is up" in lab.greeting
    done = lab.run(
        "exec", "--lab", "one", "phone", "--", "sh", "-c", "cat; echo out; echo err >&2; exit 7", stdin="in "
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, "in out\n", "err\n")

    # Two OPTIONS, another model between them: each is seen as it leaves, by whoever reads the pipe.
    pcap = tmp_path / "out.pcap"
    with pcap.open("wb") as file:
        capture = subprocess.Popen(
            [sys.executable, "-m", "siplab", "capture", "router/outside"], stdout=file, env=lab.environment
        )
    try:
        while pcap.stat().st_size < 24:
            assert capture.poll() is None
        assert lab.run("exec", "--lab", "one", "phone", "--", sys.executable, "-c", ask(1)).stdout == "200\n"
        before = lab.run("status")
        assert "router has none" in before.stdout
        assert lab.run("alg", "set", "correct").stdout == "router has correct\n"
        assert lab.run("exec", "--lab", "one", "phone", "--", sys.executable, "-c", ask(2)).stdout == "200\n"
        status = lab.run("status", "--json")
        assert '"correct"' in status.stdout
        assert "192.168.1.102:5080" in status.stdout
        assert lab.run("age", "3600").returncode == 0
        assert "192.168.1.102:5080" not in lab.run("status").stdout
        assert lab.run("alg", "off").stdout == "router has none\n"
        assert lab.run("down").returncode == 0
        assert lab.process.wait(30) == 0
        assert capture.wait(30) == 0
    finally:
        capture.kill()
        capture.wait()
    packets = list(_packets(pcap.read_bytes()))
    requests = [each.payload for each in map(ip.parse, packets) if each.payload.startswith(b"OPTIONS")]
    assert [b"Via: SIP/2.0/UDP 192.168.1.102:5080" in each for each in requests] == [True, False]
    done = lab.run("status")
    assert (done.returncode, done.stderr) == (2, "siplab: no lab is up: siplab up\n")


@pytest.mark.needs("emulated")
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("alg", "set", "nonsense"), "unknown model 'nonsense'"),
        (("alg", "set"), "write: siplab alg set MODEL"),
        (
            ("capture", "router/above"),
            "no tap 'router/above'; there are router/inside, router/outside, phone",
        ),
        (("age", "0"), "a number of seconds above 0"),
        (("exec", "--lab", "one", "attic", "--", "true"), "no host 'attic'"),
        (("exec", "--lab", "one", "phone", "--", "no-such-program"), "no program 'no-such-program'"),
        (
            ("exec", "--lab", "one", "--model", "correct", "phone", "--", "true"),
            "--lab names a lab that is up",
        ),
        (("up", "--name", "one"), "a lab 'one' is up already"),
        (("up", "--phone", "program:sipp(scenario=gone.xml)"), "no file 'gone.xml'"),
        (("up", "--name", "../x"), "is no name of a lab"),
        (("down", "--lab", "two"), "no lab 'two' is up; there are one"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    tmp_path_factory: pytest.TempPathFactory, arguments: tuple[str, ...], complaint: str
) -> None:
    up = _shared(tmp_path_factory)
    done = up.run(*arguments)
    (said,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert complaint in said


_UP: list[Up] = []


def _shared(factory: pytest.TempPathFactory) -> Up:
    if not _UP:
        _UP.append(Up(factory.mktemp("shared")))
    return _UP[0]


@pytest.fixture(scope="module", autouse=True)
def _end() -> Iterator[None]:
    yield
    while _UP:
        _UP.pop().close()


@pytest.mark.needs("emulated")
@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.deep), signal.SIGKILL]
)
def test_nothing_is_left_when_it_is_ended(tmp_path: Path, number: signal.Signals) -> None:
    up = Up(tmp_path)
    started = subprocess.Popen(
        [sys.executable, "-m", "siplab", "exec", "--lab", "one", "phone", "--", "sleep", "1000"],
        env=up.environment,
        stderr=subprocess.PIPE,
    )
    try:
        while "sleep 1000" not in up.run("status").stdout:
            assert started.poll() is None
        up.process.send_signal(number)
        up.process.wait(30)
        assert started.wait(30) == 2  # the lab has ended
        assert b"the lab has ended" in (started.stderr.read() if started.stderr else b"")
        # A lab of that name can be built again, over the socket of one that was killed too.
        again = Up(tmp_path)
        assert "is up" in again.greeting
        again.close()
    finally:
        started.kill()
        started.wait()
        if started.stderr:
            started.stderr.close()
        up.close()


# -- without a network -----------------------------------------------------------------------------


def test_a_folder_that_others_can_enter_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    line.folder().chmod(0o755)
    with pytest.raises(UsageError, match="only this user can enter"):
        line.path_of("one")


@pytest.mark.parametrize("data", [b"", b"no json", b"[1]", b"{" * 100_000, b'"text"'])
def test_nonsense_on_the_line_is_no_request(data: bytes) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, line.LONGEST)
        if data:
            theirs.send(data)
        else:
            theirs.close()
        assert line.received(ours) == (None, [])


def _packets(data: bytes) -> Iterator[bytes]:
    assert data[:4] == struct.pack("<I", 0xA1B2C3D4)
    at = 24
    while at < len(data):
        size = struct.unpack_from("<I", data, at + 8)[0]
        yield data[at + 16 : at + 16 + size]
        at += 16 + size


def test_a_capture_has_the_packets_of_its_tap() -> None:
    read, write = os.pipe()
    capture = LiveCapture("router/outside", write, 1000.0)
    packet, left = ip.udp(PHONE, SERVER, b"in"), ip.udp(Endpoint("203.0.113.7", 61002), SERVER, b"out")
    capture.take(Passage(1.5, "router", Side.INSIDE, packet, [Emission(Side.OUTSIDE, left)]))
    capture.take(Passage(1.6, "other", Side.INSIDE, packet, [Emission(Side.OUTSIDE, left)]))
    capture.take(Sent(1.7, "phone", PHONE, SERVER, b"x"))
    capture.close()
    with os.fdopen(read, "rb") as file:
        data = file.read()
    assert list(_packets(data)) == [left]
    assert struct.unpack_from("<II", data, 24) == (1001, 500000)


def test_a_capture_that_nobody_reads_waits_for_nobody_and_counts() -> None:
    read, write = os.pipe()
    capture = LiveCapture("phone", write, 0.0)
    big = Sent(1.0, "phone", PHONE, SERVER, bytes(60_000))
    for _ in range(100):
        capture.take(big)
    assert capture.lost > 0
    got = bytearray()
    reader = threading.Thread(target=lambda: got.extend(os.fdopen(read, "rb").read()))
    reader.start()
    while capture._waiting:
        capture.flush()
    capture.close()
    reader.join(10)
    assert len(list(_packets(bytes(got)))) == 100 - capture.lost


def test_a_capture_whose_reader_has_gone_is_over() -> None:
    read, write = os.pipe()
    capture = LiveCapture("phone", write, 0.0)
    os.close(read)
    capture.take(Sent(1.0, "phone", PHONE, SERVER, b"x"))
    assert capture.over
    capture.close()


# -- Mininet's command line -------------------------------------------------------------------------


@pytest.mark.needs("emulated", "sipsak")
def test_mininets_command_line_while_the_router_is_served() -> None:
    """Its first word is a node, other nodes' names stand for their addresses, and packets pass the queue."""
    lines = [
        "nodes",
        "phone ip -4 -br addr",
        "laptop echo reach registrar",
        "phone sipsak -s sip:198.51.100.10; echo gave $?",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "siplab", "shell", "--mininet", "--with", "server", "--model", "correct"],
        input="\n".join([*lines, "exit", ""]),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert "far-phone internet laptop phone registrar router" in said
    assert "192.168.1.102/24" in said
    assert "reach 198.51.100.10" in said
    assert "gave 0" in said
