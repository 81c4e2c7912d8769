"""The netfilter queue of one side of a gateway.

Facts that this file relies on, each measured on a real kernel:

- The queue's netlink socket belongs to the network namespace in which its object is *made*.
- Every packet needs exactly one verdict, or its slot is lost until the queue is unbound.
- NetfilterQueue 1.1.0 receives into 4096 bytes; a copy range of 3900 keeps larger packets from vanishing.
  Packets here are never larger than the MTU, so nothing is cut.
- Overflow is silent; it shows only in the counters of /proc/net/netfilter/nfnetlink_queue.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from siplab.lab.worlds.emulated import namespaces as ns

SLOTS: Final = 1024
COPY_RANGE: Final = 3900


class Drops(NamedTuple):
    """Packets that the kernel dropped because the queue or its socket was full."""

    queue_full: int
    socket_full: int


class PacketQueue:
    """One bound queue; ``callback(packet)`` gets NetfilterQueue's packet objects."""

    def __init__(self, namespace: int, number: int, callback: Callable[[Any], None]) -> None:
        from netfilterqueue import NetfilterQueue

        self.number = number
        with ns.inside(namespace):
            self._queue = NetfilterQueue()
            self._counters = os.open("/proc/net/netfilter/nfnetlink_queue", os.O_RDONLY | os.O_CLOEXEC)
        self._queue.bind(number, callback, max_len=SLOTS, range=COPY_RANGE)

    def fileno(self) -> int:
        return int(self._queue.get_fd())

    def run(self) -> None:
        """Call the callback with every waiting packet."""
        self._queue.run(block=False)

    def drops(self) -> Drops:
        """The counts since the queue was bound."""
        text = os.pread(self._counters, 4096, 0).decode()
        for line in text.splitlines():
            columns = line.split()
            if columns and int(columns[0]) == self.number:
                return Drops(int(columns[5]), int(columns[6]))
        return Drops(0, 0)

    def close(self) -> None:
        self._queue.unbind()
        os.close(self._counters)
