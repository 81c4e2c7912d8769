"""The public server when things run out, and its client before a server that means no good."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from siplab.experiments.detect import run as running
from siplab.experiments.detect import serving, streams
from siplab.experiments.detect.report import Report
from siplab.lab.probing.detection_server import DetectionServer
from siplab.lab.probing.reflector import CONTROL_PORT
from siplab.lab.wire.ip import Endpoint
from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs all of 127.0.0.0/8")


def loopback(number: int) -> str:
    """An address of this machine that no other test has."""
    return f"127.{os.getpid() // 250 % 250 + 1}.{os.getpid() % 250 + 1}.{250 + number}"


@contextmanager
def service(ip: str, log: serving.Log) -> Iterator[serving.Service]:
    """A service that runs in a thread."""
    made = serving.Service([(ip, DetectionServer(ip, [5060, 6060], bytes(32)))], log, streams=[5060, 6060])
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        yield made
    finally:
        made.stop()
        thread.join(30)
        made.close()
        assert not thread.is_alive()


def test_a_log_that_fails_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full, or the reader of the log is gone."""
    monkeypatch.setattr(serving, "_SUMMARY", 0.0)
    written: list[str] = []

    def log(event: str, **details: object) -> None:
        written.append(event)
        raise OSError(28, "No space left on device")

    with service(loopback(0), log):
        report = running.run(running.Request(loopback(0), tls_port=0))
    assert report.verdict == "clean"
    assert "numbers" in written


def test_the_log_on_a_full_disk() -> None:
    command = [sys.executable, "-m", "siplab", "detect", "serve", "--host", loopback(1), "--json-log"]
    with Path("/dev/full").open("w") as full:
        process = subprocess.Popen(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True)
    try:
        report = _when_it_listens(loopback(1))
        process.send_signal(signal.SIGTERM)
        _, complaints = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert report.verdict == "clean"
    assert process.returncode == 0
    assert "Traceback" not in complaints


def _when_it_listens(ip: str) -> Report:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with suppress(OSError):
            socket.create_connection((ip, 5060), 1).close()
            return running.run(running.Request(ip, tls_port=0))
        time.sleep(0.1)
    raise AssertionError("it does not listen")


def test_strangers_choose_no_line_of_the_log() -> None:
    """Clients and noise are numbers."""
    lines: list[tuple[str, dict[str, object]]] = []
    with service(loopback(2), lambda event, **details: lines.append((event, details))) as made:
        for _ in range(3):
            assert running.run(running.Request(loopback(2), streams=False)).verdict == "clean"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for port in (5060, 6060, CONTROL_PORT) * 50:
                sock.sendto(b"INVITE sip:\x1b[31m SIP/2.0\r\n\r\n", (loopback(2), port))
        assert running.run(running.Request(loopback(2), streams=False)).verdict == "clean"
        numbers = made.numbers()
    assert {event for event, _ in lines} <= {"numbers"}
    assert numbers["clients"] == 1
    assert json.loads(json.dumps(numbers)) == numbers


def test_without_descriptors_the_loop_rests() -> None:
    """No descriptor is left: it accepts nobody, does not spin, and accepts again when one is free."""
    ip = loopback(3)
    with service(ip, lambda event, **details: None) as made:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        waiting = [socket.socket() for _ in range(3)]
        turns = made.turns
        most = max(int(each.name) for each in Path("/proc/self/fd").iterdir())
        taken: list[int] = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (most + 1, before[1]))
        try:
            with suppress(OSError):
                while True:
                    taken.append(os.dup(0))
            for each in waiting:  # the kernel takes them; nobody can accept them
                each.connect((ip, 5060))
            counts = made._servers[0].counts
            end = time.monotonic() + 30
            while counts["nothing left to accept with"] < 3 and time.monotonic() < end:
                time.sleep(0.05)
            passed = made.turns - turns
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
            for number in taken:
                os.close(number)
            for each in waiting:
                each.close()
        assert counts["nothing left to accept with"] >= 3
        assert passed < 200, "it turned without end"
        assert running.run(running.Request(ip, tls_port=0)).verdict == "clean"


# -- the client ---------------------------------------------------------------------------------------


@contextmanager
def listener(ip: str, port: int, talk: Callable[[socket.socket], None]) -> Iterator[None]:
    """A TCP server that does ``talk`` with each connection."""
    with socket.create_server((ip, port)) as server:
        server.settimeout(0.1)
        over = threading.Event()
        held = []

        def accept() -> None:
            while not over.is_set():
                with suppress(OSError):
                    sock, _ = server.accept()
                    held.append(sock)
                    talk(sock)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield
        finally:
            over.set()
            for each in held:
                each.close()
            thread.join(30)


def _drip(sock: socket.socket) -> None:
    """An answer that never ends, a byte at a time."""
    with suppress(OSError):
        for _ in range(2000):
            sock.sendall(b"S")
            time.sleep(0.01)


def _flood(sock: socket.socket) -> None:
    with suppress(OSError):
        for _ in range(2000):
            sock.sendall(b"SIP/2.0 200 \x1b[31m\r\n" + b"X: y\r\n" * 10_000)


def _silence(sock: socket.socket) -> None:
    """It takes the connection, and nothing comes."""


@pytest.mark.parametrize("kind", ["TCP", "TLS"])
@pytest.mark.parametrize("talk", [_drip, _flood, _silence])
def test_the_limit_holds_before_a_hostile_server(
    kind: streams.Kind, talk: Callable[[socket.socket], None]
) -> None:
    """Each of these servers goes on for twenty seconds or for ever; the client has one."""
    found: list[streams.Exchange] = []
    ip = loopback(4)
    with listener(ip, 5070, talk):
        deadline = time.monotonic() + 1.0
        thread = threading.Thread(
            target=lambda: found.append(
                streams.exchange(Endpoint(ip, 5070), kind, random.Random(1), deadline)
            ),
            daemon=True,
        )
        thread.start()
        thread.join(15)
        assert not thread.is_alive()
    assert len(found[0].reflections) == 0
    assert found[0].problem.isprintable()


def test_a_server_of_nonsense_is_undecided() -> None:
    """Garbage at every port, and plenty of it: an end, no verdict against anybody, nothing unprintable."""
    ip = loopback(5)
    over = threading.Event()
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
    for sock, port in zip(socks, (5060, 6060, CONTROL_PORT), strict=True):
        sock.bind((ip, port))
        sock.settimeout(0.1)

    def answer(sock: socket.socket) -> None:
        while not over.is_set():
            with suppress(OSError):
                payload, source = sock.recvfrom(65535)
                for number in range(500):
                    sock.sendto(b"SIP/2.0 200 \x1b[31m\x07%d\r\n" % number + payload[:600], source)

    threads = [threading.Thread(target=answer, args=(each,)) for each in socks]
    for each in threads:
        each.start()
    try:
        report = running.run(running.Request(ip, tls_port=0, limit=4.0, streams=False))
    finally:
        over.set()
        for each in threads:
            each.join(30)
        for sock in socks:
            sock.close()
    assert report.verdict == "undecided"
    assert json.dumps(report.as_json()).isprintable()
