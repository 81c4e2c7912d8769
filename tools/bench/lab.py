"""How long it takes to start and stop an emulated lab, compared with plain ``ip`` for the same network."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Iterator
from typing import Any, Final

from siplab.experiments.trial import run as trial
from siplab.lab.worlds.emulated import capability
from siplab.lab.worlds.emulated.world import EmulatedLab
from tools.bench.parts import ROUNDS, Part, Row, in_bubble, show, spread


def measure() -> dict[str, Any]:
    """Milliseconds of wall-clock time, and their ratio."""
    return in_bubble(__name__)


def measured() -> dict[str, Any]:
    """The same, measured here."""
    net = trial.network("home")
    EmulatedLab(net).close()  # load modules, fill caches
    ours: list[float] = []
    plain: list[float] = []
    for index in range(ROUNDS):
        began = time.perf_counter()
        EmulatedLab(net).close()
        ours.append((time.perf_counter() - began) * 1e3)
        began = time.perf_counter()
        _plain_ip(net, f"b{index}")
        plain.append((time.perf_counter() - began) * 1e3)
    return {
        "siplab_ms": spread(ours),
        "plain_ip_ms": spread(plain),
        "times_plain": round(statistics.median(ours) / statistics.median(plain), 2),
    }


def _plain_ip(net: Any, prefix: str) -> None:
    """Make the same namespaces, links and addresses, with one ``ip`` command each, as a script would."""

    def command(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)

    names = {node: f"{prefix}-{node}" for node in net.node_addresses}
    for name in names.values():
        command("netns", "add", name)
    for segment, members in net.members.items():
        routers = [row for row in members if row[0] in net.topology.routers]
        hub = routers[0][0]
        if len(members) > 2:
            command("-n", names[hub], "link", "add", segment, "type", "bridge")
            command("-n", names[hub], "link", "set", segment, "up")
        for index, (node, address) in enumerate(row for row in members if row[0] != hub):
            port = f"{segment}.{index}" if len(members) > 2 else segment
            device = segment if node in net.topology.routers else "eth0"
            command(
                "link", "add", device, "netns", names[node], "type", "veth", "peer", port, "netns", names[hub]
            )
            if len(members) > 2:
                command("-n", names[hub], "link", "set", port, "master", segment, "up")
            command("-n", names[node], "addr", "add", f"{address}/24", "dev", device)
            command("-n", names[node], "link", "set", device, "up")
        command("-n", names[hub], "addr", "add", f"{dict(members)[hub]}/24", "dev", segment)
        command("-n", names[hub], "link", "set", segment, "up")
    for node, routes in net.routes.items():
        for target, via in routes:
            command("-n", names[node], "route", "add", target or "default", "via", via)
    for name in names.values():
        command("netns", "del", name)


def rows(found: dict[str, Any]) -> Iterator[Row]:
    yield Row("lab up and down", show(found["siplab_ms"], "ms"), f"{found['times_plain']} x plain ip")
    yield Row("the same by plain ip", show(found["plain_ip_ms"], "ms"))


PART: Final = Part("lab", measure, rows, capability.obstacle)
