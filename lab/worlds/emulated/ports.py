"""The kernel's tables of a network namespace: bound ports, packets sent. Reading them sends no packet."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Final

from siplab.lab.worlds.emulated import namespaces as ns

_LISTENING: Final = "0A"  # TCP_LISTEN in include/net/tcp_states.h
_TABLES: Final = {"udp": ("udp", "udp6"), "tcp": ("tcp", "tcp6")}


def is_bound(namespace: int, protocol: str, port: int) -> bool:
    """Whether somebody has a UDP port, or listens on a TCP port, in the namespace of a descriptor."""
    return any(
        local == port and (protocol == "udp" or state == _LISTENING)
        for local, state in _rows(namespace, protocol)
    )


def has_connections(namespace: int) -> bool:
    """Whether TCP has connections left there; TIME-WAIT and unsent data outlive the programs."""
    # The tables of sockets show the same, but the kernel needs milliseconds to go through them.
    words = _read(namespace, "sockstat") + _read(namespace, "sockstat6")
    return any(
        int(count) > 0
        for line in words.splitlines()
        if line.startswith("TCP")
        for name, count in pairwise(line.split())
        if name in ("inuse", "tw")
    )


def packets_sent(namespace: int) -> int:
    """How many packets have left a namespace by its interfaces, without loopback (proc_net_dev(5))."""
    rows = (line.partition(":") for line in _read(namespace, "dev").splitlines()[2:])
    return sum(int(counts.split()[9]) for name, _, counts in rows if name.strip() != "lo")


def _read(namespace: int, table: str) -> str:
    with ns.inside(namespace), suppress(FileNotFoundError):  # IPv6 may be compiled out
        return Path("/proc/thread-self/net", table).read_text(encoding="ascii")
    return ""


def _rows(namespace: int, protocol: str) -> list[tuple[int, str]]:
    """``(local port, state)`` of every socket (proc_net_tcp.rst in the kernel's documentation)."""
    text = "".join(_read(namespace, table).partition("\n")[2] for table in _TABLES[protocol])
    columns = [line.split() for line in text.splitlines()]
    return [(int(row[1].rpartition(":")[2], 16), row[3]) for row in columns]
