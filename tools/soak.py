"""``make soak``: the detection server among honest and hostile clients, ten minutes, over the loopback.

Honest clients run the detection one after the other. All the time, hostile clients send noise, open
connections and leave them idle, ask for cookies and begin sessions. At the end: did every honest client get
the right answer, and are memory and CPU in the last third what they were in the first?
"""

from __future__ import annotations

import json
import os
import random
import socket
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from siplab.experiments.detect import run as running
from siplab.lab.probing.anti_amplification import ADMIT, COOKIE, HELLO
from siplab.lab.probing.probe_wire import new_mark, pack
from siplab.lab.probing.reflector import CONTROL_PORT
from tools.bench.detect import PORTS, noise

SERVER, HOSTILE = "127.0.0.79", "127.0.0.80"
RATE = 2000  # datagrams of noise a second
_GROWTH = 4 * 1024  # KiB by which memory may grow between the first and the last third
_CPU = 1.5  # the factor by which CPU may grow


def _hostile(seconds: float) -> dict[str, int]:
    """Send noise, and open sessions and idle connections, until the time is over."""
    rng, counts = random.Random(1), {"datagrams": 0, "sessions": 0, "connections": 0}
    rows = [noise(rng) for _ in range(1000)]
    held: list[socket.socket] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((HOSTILE, 0))
        sock.settimeout(0.2)
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            while counts["datagrams"] < passed * RATE:
                sock.sendto(rows[counts["datagrams"] % len(rows)], (SERVER, PORTS[counts["datagrams"] % 4]))
                counts["datagrams"] += 1
            with suppress(OSError):
                sock.sendto(HELLO.ljust(32, b"\0"), (SERVER, CONTROL_PORT))
                cookie = sock.recv(100)[len(COOKIE) :]
                do = {new_mark(rng).decode(): ["@100 200"] * 8 for _ in range(20)}
                order = pack({"s": f"{rng.getrandbits(64):x}", "t": "order", "n": 0, "do": do})
                sock.sendto(ADMIT + cookie + order, (SERVER, CONTROL_PORT))
                counts["sessions"] += 1
            with suppress(OSError):
                made = socket.socket()
                held.append(made)
                made.bind((HOSTILE, 0))
                made.settimeout(0.2)
                made.connect((SERVER, 5060))
                made.sendall(b"INVITE ")
                counts["connections"] += 1
            while len(held) > 50:
                held.pop(0).close()
            time.sleep(0.05)
    for each in held:
        each.close()
    return counts


def _resident(process: int) -> int:
    return int(Path(f"/proc/{process}/status").read_text().partition("VmRSS:")[2].split()[0])


def _cpu(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def soak(seconds: float) -> dict[str, Any]:
    """Run the test; returns the numbers, and under ``wrong`` one line for each thing that went wrong."""
    command = [sys.executable, "-m", "siplab", "detect", "serve", "--host", SERVER, "--json-log"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    verdicts: list[str] = []
    samples: list[tuple[int, float]] = []
    try:
        server.stdout.readline()
        running.run(running.Request(SERVER, tls_port=0))  # load modules, fill caches
        hostile = subprocess.Popen(
            [sys.executable, "-m", "tools.soak", "--hostile", str(seconds)], stdout=subprocess.PIPE, text=True
        )
        end, cpu, at = time.monotonic() + seconds, _cpu(server.pid), time.monotonic()
        while time.monotonic() < end:
            verdicts.append(running.run(running.Request(SERVER, tls_port=0, limit=60.0)).verdict)
            now, used = time.monotonic(), _cpu(server.pid)
            samples.append((_resident(server.pid), (used - cpu) / (now - at)))
            cpu, at = used, now
        counts = json.loads(hostile.communicate(timeout=60)[0])
        server.terminate()
        last = json.loads(server.communicate(timeout=30)[0].splitlines()[-1])
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
    third = max(1, len(samples) // 3)
    first, final = samples[:third], samples[-third:]
    memory = [round(statistics.median(row[0] for row in rows)) for rows in (first, final)]
    load = [round(statistics.median(row[1] for row in rows), 4) for rows in (first, final)]
    wrong = [f"an honest client was told {each}" for each in verdicts if each != "clean"]
    if memory[1] - memory[0] > _GROWTH:
        wrong.append(f"memory grew from {memory[0]} to {memory[1]} KiB")
    if load[1] > _CPU * load[0] + 0.01:
        wrong.append(f"CPU grew from {load[0]} to {load[1]} of a core")
    if last.get("problems"):
        wrong.append(f"{last['problems']} problems in the log")
    return {
        "seconds": seconds, "honest": len(verdicts), "hostile": counts, "resident_kib": memory, "cpu": load,
        "server": last, "wrong": wrong,
    }  # fmt: skip


def main() -> int:
    if sys.argv[1:2] == ["--hostile"]:
        print(json.dumps(_hostile(float(sys.argv[2]))))
        return 0
    found = soak(float(sys.argv[1]) if len(sys.argv) > 1 else 600.0)
    print(json.dumps(found, indent=2))
    for each in found["wrong"]:
        print(f"soak: {each}", file=sys.stderr)
    return 1 if found["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
