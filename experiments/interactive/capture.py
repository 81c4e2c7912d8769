"""Captures packets at one tap as they pass, in a form that Wireshark and similar programs read from a pipe.

The format is libpcap's (version 2.4, LINKTYPE_RAW), which every reader accepts. Times are wall-clock times.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Final

from siplab.lab.wire import ip
from siplab.lab.wire.ip import MalformedPacketError
from siplab.lab.worlds.trace import Passage, Received, Record, Segment, Sent

_HEADER: Final = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 101)
_FIRST: Final = struct.Struct("<IIII")
_MOST: Final = 4 << 20  # bytes that wait for a reader; a slower reader loses packets


def packets_at(record: Record, tap: str) -> Iterator[bytes]:
    """The IP packets of a record that pass a tap: ``router/inside``, or a host."""
    if isinstance(record, Passage):
        gateway, _, side = tap.partition("/")
        if record.gateway != gateway:
            return
        if record.side.name.lower() == side:
            yield record.packet
        for each in record.emissions:
            if each.side is not None and each.side.name.lower() == side:
                yield each.packet
    elif isinstance(record, Segment) and record.host == tap:
        yield record.packet
    elif isinstance(record, Sent | Received) and record.host == tap:
        ends = (record.local, record.remote) if isinstance(record, Sent) else (record.remote, record.local)
        try:
            yield ip.udp(*ends, record.payload)
        except MalformedPacketError:
            return


class LiveCapture:
    """Writes a tap's packets to a descriptor, and takes ownership of it. Never waits for the reader.

    ``began``: wall-clock time at which the world began, in seconds. ``lost``: packets lost by a slow reader.
    """

    def __init__(self, tap: str, descriptor: int, began: float) -> None:
        self.tap = tap
        self.over = False
        self.lost = 0
        self._descriptor = descriptor
        self._began = began
        self._waiting = bytearray(_HEADER)
        os.set_blocking(descriptor, False)
        self.flush()

    def take(self, record: Record) -> None:
        """Take a record of the trace."""
        if self.over:
            return
        for packet in packets_at(record, self.tap):
            if len(self._waiting) > _MOST:
                self.lost += 1
                continue
            at = self._began + record.now
            self._waiting += _FIRST.pack(int(at), int(at % 1 * 1_000_000), len(packet), len(packet)) + packet
        self.flush()

    def flush(self) -> None:
        """Write as much as the reader accepts."""
        while self._waiting and not self.over:
            try:
                count = os.write(self._descriptor, self._waiting)
            except BlockingIOError:
                return
            except OSError:  # the reader has closed it
                self.over = True
                return
            del self._waiting[:count]

    def close(self) -> None:
        """Write what the reader accepts at once, and close."""
        self.flush()
        self.over = True
        os.close(self._descriptor)
