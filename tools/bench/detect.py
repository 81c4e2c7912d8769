"""How the detection server bears a flood of noise: packets taken, CPU, memory, a good client's verdict.

One process sends malformed and random datagrams, at a steady pace, to ``siplab detect serve`` in another
process, over the loopback interface.
"""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from siplab.experiments.detect import run as running
from siplab.lab.probing.anti_amplification import ADMIT, HELLO
from siplab.lab.probing.probe_messages import request
from siplab.lab.probing.probe_wire import MAGIC
from siplab.lab.probing.reflector import CONTROL_PORT
from siplab.lab.wire.ip import Endpoint
from tools.bench.parts import Part, Row

RATE = 20_000  # datagrams per second
SECONDS = 30.0
SERVER, FLOODER = "127.0.0.77", "127.0.0.78"
PORTS = (5060, 6060, CONTROL_PORT, 40400)
_TICK = 0.005


def noise(rng: random.Random) -> bytes:
    """One datagram that no server should answer."""
    probe = request(b"INVITE", b"q%011x" % rng.getrandbits(44), Endpoint("192.168.1.102", 5060))
    start = rng.choice([b"", MAGIC, ADMIT, HELLO, b"INVITE ", b"SIP/2.0 200 OK\r\n", probe, probe[:200]])
    return start + rng.randbytes(rng.randrange(20 if start == HELLO else 400))


def _flood(seconds: float) -> tuple[int, int]:
    """Send at the steady rate; returns how many datagrams were sent, and how many answers came."""
    rng = random.Random(1)
    rows = [noise(rng) for _ in range(1000)]
    sent = answers = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((FLOODER, 0))
        sock.setblocking(False)
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            while sent < passed * RATE:
                try:
                    sock.sendto(rows[sent % len(rows)], (SERVER, PORTS[sent % len(PORTS)]))
                except BlockingIOError:
                    break
                sent += 1
            try:
                while sock.recv(65535):
                    answers += 1
            except BlockingIOError:
                pass
            time.sleep(_TICK)
    return sent, answers


def _status(process: int, word: str) -> int:
    return int(Path(f"/proc/{process}/status").read_text().partition(word)[2].split()[0])


def _cpu(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _verdict() -> tuple[str, float]:
    report = running.run(running.Request(SERVER, streams=False, limit=60.0))
    return report.verdict, report.seconds


def measure(seconds: float = SECONDS) -> dict[str, Any]:
    """Measure the flood, with a good client before, during and after it."""
    command = [
        sys.executable,
        "-m",
        "siplab",
        "detect",
        "serve",
        "--host",
        SERVER,
        "--json-log",
    ]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        server.stdout.readline()
        before, _ = _verdict()
        memory, cpu = _status(server.pid, "VmRSS:"), _cpu(server.pid)
        child = subprocess.Popen(
            [sys.executable, "-m", "tools.bench.detect", str(seconds)], stdout=subprocess.PIPE, text=True
        )
        time.sleep(seconds / 2)
        during, took = _verdict()
        out, _ = child.communicate(timeout=seconds + 60)
        sent, answers = json.loads(out)
        cpu, grown = _cpu(server.pid) - cpu, _status(server.pid, "VmRSS:") - memory
        after, _ = _verdict()
        server.terminate()
        last = json.loads(server.communicate(timeout=30)[0].splitlines()[-1])
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
    dropped = sum(last.get(each, 0) for each in ("no probe", "wrong cookie", "too often", "too long"))
    return {
        "seconds": seconds,
        "sent_per_second": round(sent / seconds),
        "dealt_with_per_second": round(dropped / seconds),
        "cpu_us_per_packet": round(cpu / max(1, dropped) * 1e6, 2),
        "answers_to_noise": answers,
        "resident_kib": memory,
        "grown_kib": grown,
        "good_client": {"before": before, "during": during, "after": after, "during_seconds": took},
        "problems": last.get("problems", 0),
    }


def rows(found: dict[str, Any]) -> Iterator[Row]:
    yield Row(
        "detection server: noise dealt with",
        f"{found['dealt_with_per_second']} a second, {found['cpu_us_per_packet']} us CPU each",
        f"{found['sent_per_second']} a second sent, {found['grown_kib']} KiB grown",
    )


PART: Final = Part("detect", measure, rows)


if __name__ == "__main__":
    print(json.dumps(_flood(float(sys.argv[1]))))
