"""The state of a network, to find out whether programs changed it.

A program that may change its host's network may change everything in it: addresses, routes, rules, settings.
One that may not can still end processes, the hosts' shells among them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

from siplab.lab.worlds.emulated import namespaces as ns
from siplab.lab.worlds.emulated import processes
from siplab.lab.worlds.emulated.fabric import Fabric

_BATCH: Final = "link show\naddr show\nrule show\nroute show table all\nneigh show nud permanent\n"
# The dates and counters of iptables-save(8).
_MOVES: Final = re.compile(r"^# (Generated|Completed).*$|\[\d+:\d+\]", re.M)
_SETTINGS: Final = ("/proc/sys/net/ipv4", "/proc/sys/net/ipv6")
_COUNTS: Final = re.compile(r"_count$|/flush$|_key$|route/gc_")

Fingerprint = dict[str, str]


def of(fabric: Fabric, *, thorough: bool, hosts: Iterable[str] | None = None) -> Fingerprint:
    """The present state, by node and kind. ``thorough``: with all that a privileged program may change.

    ``hosts``: only these nodes.
    """
    found: Fingerprint = {}
    names = list(fabric.nodes if hosts is None else hosts)
    for name in names:
        node = fabric.nodes[name]
        found[f"{name}: shell"] = "stopped" if processes.is_stopped(node.pid) else str(node.shell.poll())
        with suppress(OSError):
            found[f"{name}: mounts"] = Path(f"/proc/{node.pid}/mountinfo").read_text()
    if thorough:
        for name in names:
            found |= {f"{name}: {kind}": text for kind, text in _network(fabric.namespaces[name])}
    return found


def difference(before: Fingerprint, after: Fingerprint) -> str:
    """The first thing that differs, as ``phone: routes and addresses``; '' if nothing does."""
    return next((each for each in before if before[each] != after.get(each)), "")


def _network(namespace: int) -> Iterator[tuple[str, str]]:
    try:
        with ns.inside(namespace):
            running = [
                subprocess.Popen(
                    each, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
                )
                for each in _commands()
            ]
            settings = _settings()
    except OSError as error:  # the programs to read the state with, or /proc, are gone
        yield "programs", str(error)
        return
    texts = [process.communicate(_BATCH)[0] for process in running]
    yield "programs", ""
    yield "addresses, routes and neighbours", texts[0]
    yield "rules", "\n".join(_MOVES.sub("", each) for each in texts[1:])
    yield "settings", settings


@cache
def _commands() -> tuple[tuple[str, ...], ...]:
    saving: list[tuple[str, ...]] = [("nft", "-s", "list", "ruleset")] if shutil.which("nft") else []
    saving += [(each,) for each in ("iptables-nft-save", "ip6tables-nft-save") if shutil.which(each)]
    return (("ip", "-batch", "-"), *saving)


def _settings() -> str:
    """All settings of the network namespace that this thread is in."""
    rows = []
    for root in _SETTINGS:
        for folder, _, files in os.walk(root):
            for file in files:
                path = f"{folder}/{file}"
                if not _COUNTS.search(path):
                    with suppress(OSError):  # some settings are write-only
                        rows.append(f"{path} {Path(path).read_text()}")
    return "".join(sorted(rows))
