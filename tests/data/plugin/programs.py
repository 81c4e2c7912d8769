"""Tests as users of the plugin write them: programs in labs."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from siplab import UsageError, WorldError
from siplab.pytest_plugin import Lab, Labs, ProgramError

SERVER = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind((sys.argv[1], 5060))
print("ready", flush=True)
while True:
    data, source = sock.recvfrom(65535)
    print(data.splitlines()[1].decode(), flush=True)
    sock.sendto(b"SIP/2.0 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n", source)
"""
CLIENT = """
import os, socket, sys
own = os.environ["SIPLAB_PHONE_IP"]
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind((own, 5060))
sock.settimeout(10)
message = (
    f"REGISTER sip:lab.test SIP/2.0\\r\\nVia: SIP/2.0/UDP {own}:5060;rport\\r\\nMax-Forwards: 70\\r\\n"
    "From: <sip:alice@lab.test>;tag=1\\r\\nTo: <sip:alice@lab.test>\\r\\n"
    "Call-ID: 1\\r\\nCSeq: 1 REGISTER\\r\\nContent-Length: 0\\r\\n\\r\\n"
)
sock.sendto(message.encode(), (sys.argv[1], 5060))
print(sock.recv(65535).decode().split("\\r\\n")[0])
"""
OWN = [sys.executable, "-c"]


def exchange(lab: Lab) -> str:
    """A request and its response; what the server saw as Via."""
    server = lab.start("registrar", [*OWN, SERVER, lab.address("registrar")], ready_log="^ready$")
    done = lab.run("phone", [*OWN, CLIENT, lab.address("registrar")])
    assert (done.status, done.stdout) == (0, "SIP/2.0 200 OK\n")
    return server.stop().stdout.splitlines()[1]


def sources(lab: Lab) -> list[str]:
    return [str(each.source) for each in lab.messages("router/outside", leaving=True)]


def test_what_the_router_did_can_be_asked(alg_lab: Labs, tmp_path: Path) -> None:
    lab = alg_lab(model="semicolon-loss")
    assert exchange(lab) == f"Via: SIP/2.0/UDP {lab.public_address}:61002rport"
    assert lab.changed_fields == ("Via",)
    (change,) = lab.changes
    assert b"192.168.1.102:5060;rport" in change.before
    assert b"203.0.113.7:61002rport" in change.after
    assert [each.rule for each in change.broken]
    (sent,) = lab.messages("router/inside", leaving=False)
    assert (str(sent.source), sent.payload) == ("192.168.1.102:5060", change.before)
    assert sources(lab) == ["203.0.113.7:61002"]
    assert len(lab.passages) == 2
    assert lab.expected == "alg"
    assert lab.pcap(tmp_path / "a.pcapng").read_bytes()[:4] == b"\x0a\x0d\x0d\x0a"
    assert '"kind":"passage"' in lab.write_trace(tmp_path / "a.jsonl").read_text()
    lab.close()
    assert lab.changed_fields == ("Via",)  # what was seen stays
    assert [each.status for each in lab.programs] == [-signal.SIGTERM, 0]
    with pytest.raises(UsageError, match="is closed"):
        lab.run("phone", "true")


def test_two_labs_side_by_side(alg_lab: Labs) -> None:
    a, b = alg_lab(model="semicolon-loss"), alg_lab(model="none")
    for _ in range(2):
        assert exchange(a).endswith("61002rport")
        assert exchange(b).endswith("192.168.1.102:5060;rport")
    assert (a.changed_fields, b.changed_fields) == (("Via",), ())
    assert (a.expected, b.expected) == ("alg", "clean")
    with alg_lab() as third:  # a NAT that has seen nothing yet
        exchange(third)
        assert sources(third) == ["203.0.113.7:61002"]


def test_agents_of_the_lab(alg_lab: Labs) -> None:
    lab = alg_lab(agents=["server"])
    done = lab.run("phone", [*OWN, CLIENT, lab.address("registrar")])
    assert done.stdout.startswith("SIP/2.0 401")  # who is that?
    late = alg_lab()
    late.start_agents("mirror")
    assert late.run("phone", [*OWN, CLIENT, late.address("registrar")]).status == 0


def test_where_a_program_runs(alg_lab: Labs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.sh").write_text(
        "#!/bin/sh\npwd; echo $SIPLAB_HOST $SIPLAB_MODEL $ONE $TWO >&2; exit 3\n"
    )
    (tmp_path / "own.sh").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ONE", "1")
    lab = alg_lab("correct")
    for command in ("./own.sh", [Path("own.sh").resolve()]):
        done = lab.run("laptop", command, environment={"TWO": "2"})
        assert (done.status, done.stdout, done.stderr) == (
            3,
            f"{tmp_path.resolve()}\n",
            "laptop correct 1 2\n",
        )


def test_programs_that_misbehave(alg_lab: Labs) -> None:
    lab = alg_lab()
    with pytest.raises(
        ProgramError, match=r"sh on phone was still running after 0\.2 s; it last said: working"
    ):
        lab.run("phone", ["sh", "-c", "echo working; sleep 1000"], timeout=0.2)
    with pytest.raises(ProgramError, match="more than 4 MiB"):
        lab.run("phone", ["yes"])
    with pytest.raises(ProgramError, match="ended with exit status 4 before it was ready"):
        lab.start("registrar", ["sh", "-c", "exit 4"], ready_port="udp/5060")
    with pytest.raises(ProgramError, match=r"not ready within 0\.2 s: no udp/5060 bound on registrar"):
        lab.start("registrar", "sleep 1000", ready_port="udp/5060", ready_timeout=0.2)
    with pytest.raises(UsageError, match="no program 'no-such-program' here"):
        lab.run("phone", "no-such-program")
    with pytest.raises(UsageError, match="no host 'moon' in topology 'home'"):
        lab.run("moon", "true")
    with pytest.raises(UsageError, match="ready_port"):
        lab.start("phone", "true", ready_port="5060")
    server = lab.start("registrar", "sleep 1000")
    assert server.status is None
    with pytest.raises(ProgramError, match="still running"):
        server.wait(0.1)
    assert lab.stop(server).status == server.status == -signal.SIGTERM
    assert exchange(lab)  # the lab is none the worse for it


def test_bad_names(alg_lab: Labs) -> None:
    with pytest.raises(UsageError, match="nosuch"):
        alg_lab("nosuch")
    with pytest.raises(UsageError, match="nosuch"):
        alg_lab(topology="nosuch")
    with pytest.raises(UsageError, match="agents nosuch: the lab has server"):
        alg_lab(agents=["nosuch"])
    with pytest.raises(UsageError, match="one of scenario and detector"):
        alg_lab.trial("none")
    assert alg_lab.trial("none", "register").outcome == "pass"


MARKER = "left-behind-by-a-test"


def test_leaves_a_daemon_behind(alg_lab: Labs) -> None:
    done = alg_lab().run("phone", ["sh", "-c", f"setsid sh -c 'sleep 1000; : {MARKER}' >/dev/null 2>&1 &"])
    assert done.status == 0


def test_finds_no_daemon(alg_lab: Labs) -> None:
    code = "import pathlib; print(*[p.read_bytes() for p in pathlib.Path('/proc').glob('[0-9]*/cmdline')])"
    done = alg_lab().run("phone", [*OWN, code])
    assert "glob" in done.stdout
    assert MARKER not in done.stdout


class AlarmError(Exception):
    """What a limit on a test's time raises, in the middle of anything."""


@pytest.fixture
def alarm() -> Iterator[None]:
    def ring(number: int, frame: object) -> None:
        raise AlarmError

    before = signal.signal(signal.SIGALRM, ring)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_that_is_broken_off(alg_lab: Labs, alarm: None) -> None:
    lab, other = alg_lab(), alg_lab()
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    with pytest.raises(AlarmError):
        lab.run("phone", "sleep 1000", timeout=1000)
    with pytest.raises(WorldError, match="broken off"):
        lab.run("phone", "true")
    assert exchange(other)


def test_that_comes_after_it(alg_lab: Labs) -> None:
    assert exchange(alg_lab())


def test_packets_of_ones_own_are_sent(alg_lab: Labs) -> None:
    from scapy.layers.inet import IP, UDP

    with alg_lab("correct") as lab:
        ends = IP(src=lab.address("phone"), dst=lab.address("registrar")) / UDP(sport=5070, dport=5060)
        lab.send("phone", ends / b"OPTIONS sip:lab.test SIP/2.0\r\nContent-Length: 0\r\n\r\n")
        (outside,) = lab.messages("router/outside", leaving=True)
        assert outside.source.ip == lab.public_address
        assert outside.payload.startswith(b"OPTIONS sip:lab.test")
        with pytest.raises(UsageError, match="no IP packet"):
            lab.send("phone", b"")
        with pytest.raises(UsageError, match="no host 'nobody'"):
            lab.send("nobody", ends)
