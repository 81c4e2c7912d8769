"""A network namespace that plays the machine whose card is lent: run by ``unshare --net``.

``outer.py FOLDER VICTIM`` prints what it saw as JSON. VICTIM is who is ended by SIGKILL: ``command``,
``bubble``, or nobody for ``down``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

folder, victim = sys.argv[1:]
CARD = "card0"
environment = {**os.environ, "XDG_RUNTIME_DIR": folder}
SIPLAB = [sys.executable, "-m", "siplab"]
OPTIONS = (
    b"OPTIONS sip:198.51.100.10 SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.50:5060;branch=z9hG4bK1;rport\r\n"
    b"From: <sip:a@b>;tag=1\r\nTo: <sip:b@b>\r\nCall-ID: 1@192.168.1.50\r\nCSeq: 1 OPTIONS\r\n"
    b"Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)
TELEPHONE = (
    "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(10); "
    f"s.bind(('192.168.1.50', 5060)); s.sendto({OPTIONS!r}, ('198.51.100.10', 5060)); "
    "print(s.recv(2000).decode().split()[1])"
)


def network_of(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True).stdout


def card() -> dict[str, object] | None:
    """What the card is here; ``None`` while it is away."""
    if CARD not in ip("-brief", "link"):
        return None
    link = json.loads(ip("-json", "link", "show", "dev", CARD))[0]
    addresses = json.loads(ip("-json", "addr", "show", "dev", CARD))[0]["addr_info"]
    return {
        "mtu": link["mtu"],
        "up": "UP" in link["flags"],
        "address": link["address"],
        "addresses": sorted(
            f"{each['local']}/{each['prefixlen']}" for each in addresses if each["scope"] == "global"
        ),
        "routes": sorted(ip("route", "show", "dev", CARD).splitlines()),
    }


def until(done: object, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not done():  # type: ignore[operator]
        if time.monotonic() > end:
            raise TimeoutError(done)
        time.sleep(0.02)


for words in (
    "link set lo up",
    f"link add {CARD} type veth peer name cable",
    f"addr add 10.9.0.2/24 dev {CARD}",
    f"addr add 10.9.1.2/24 dev {CARD}",
    f"link set {CARD} mtu 1400 up",
    f"route add 10.77.0.0/16 via 10.9.0.1 dev {CARD} metric 7",
):
    ip(*words.split())
telephone = subprocess.Popen(["unshare", "--net", "sleep", "1000"])
until(lambda: network_of(telephone.pid) != network_of(os.getpid()))
enter = ["nsenter", "--target", str(telephone.pid), "--net"]
ip("link", "set", "cable", "netns", str(telephone.pid))
for words in ("addr add 192.168.1.50/24 dev cable", "link set cable up", "route add default via 192.168.1.1"):
    subprocess.run([*enter, "ip", *words.split()], check=True)

before = card()
seen: dict[str, object] = {"before": before}
lab = subprocess.Popen(
    [*SIPLAB, "up", "home", "--with", "server", "--attach", CARD, "--yes"],
    stdin=subprocess.DEVNULL,
    stderr=(Path(folder) / "said").open("w"),
    env=environment,
)
try:
    until(lambda: " is up" in (Path(folder) / "said").read_text() or lab.poll() is not None)
    seen["during"] = card()
    done = subprocess.run(
        [*enter, sys.executable, "-c", TELEPHONE], capture_output=True, text=True, check=False
    )
    seen["answer"] = done.stdout.strip() or done.stderr
    if victim == "command":
        lab.kill()
    elif victim == "bubble":
        (waiter,) = Path(f"/proc/{lab.pid}/task/{lab.pid}/children").read_text().split()[-1:]
        os.kill(int(waiter), signal.SIGKILL)
    else:
        subprocess.run([*SIPLAB, "down"], env=environment, check=True)
    lab.wait(60)
    until(lambda: card() == before, 30.0)
except TimeoutError as error:
    seen["trouble"] = str(error)
finally:
    seen["after"] = card()
    seen["said"] = (Path(folder) / "said").read_text()
    lab.kill()
    telephone.kill()
print(json.dumps(seen))
