"""A machine whose cards are lent to `siplab bench-router`: run by ``unshare --net``.

``machine.py KIND FOLDER OPTION...`` runs the command. With ``kill`` in the place of options it is ended by
SIGKILL while it has the cards. Prints what was seen as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.experiments.bench.standin import INSIDE, LAN, WAN, ip, router

kind, folder, *options = sys.argv[1:]


def cards() -> dict[str, object]:
    """What the cards are here; without those that are away."""
    found: dict[str, object] = {}
    for name in (LAN, WAN):
        done = subprocess.run(
            ["ip", "-json", "addr", "show", "dev", name], capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            link = json.loads(done.stdout)[0]
            addresses = [each["local"] for each in link["addr_info"] if each["scope"] == "global"]
            found[name] = [link["mtu"], "UP" in link["flags"], addresses, routes(name)]
    return found


def routes(name: str) -> list[list[str]]:
    """Where its routes lead, and by whom."""
    done = subprocess.run(
        ["ip", "-json", "route", "show", "dev", name], capture_output=True, text=True, check=True
    )
    return sorted([each["dst"], each.get("gateway", "")] for each in json.loads(done.stdout))


def until(done: object, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:  # type: ignore[operator]
        time.sleep(0.05)


with router(kind):
    ip("route", "add", "192.0.2.0/24", "via", "10.9.0.1", "dev", LAN)
    ip("route", "add", "default", "via", "10.9.1.1", "dev", WAN)
    before = cards()
    said = Path(folder) / "said"
    kill = options == ["kill"]
    with said.open("w") as file:
        command = subprocess.Popen(
            [
                *(sys.executable, "-m", "siplab", "bench-router", "--lan", LAN, "--wan", WAN, "--yes"),
                *("--lan-address", INSIDE, "--wan-static", "203.0.113.7/24"),
                *("--out", str(Path(folder) / "out"), *(() if kill else options)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=os.environ,
        )
    if kill:
        until(lambda: "the probe pack:" in said.read_text() or command.poll() is not None)
        during = cards()
        command.kill()
    else:
        during = {}
    status = command.wait()
    until(lambda: cards() == before, 30.0)
    print(json.dumps({"before": before, "during": during, "after": cards(), "status": status}))
