"""Network interfaces that send the same packets as real ones.

Between namespaces the kernel leaves out checksums and passes several TCP segments as one, since no wire is
there. A tap would then see packets that no wire carries, and an ALG segments that no network delivers.
"""

from __future__ import annotations

import array
import socket
import struct
from contextlib import suppress
from typing import Final

from siplab.lab.worlds.emulated import namespaces as ns

# linux/sockios.h, linux/ethtool.h
_SIOCETHTOOL: Final = 0x8946
_SET_TX_CHECKSUM: Final = 0x17
_SET_TSO: Final = 0x1F
_SET_GSO: Final = 0x24


def turn_off(namespace: int, interface: str) -> None:
    """Have an interface compute checksums and send single segments, where it can be set."""
    import fcntl  # not on every system that imports this file

    with ns.inside(namespace):
        control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with control:
        for command in (_SET_TSO, _SET_GSO, _SET_TX_CHECKSUM):
            value = array.array("I", [command, 0])
            request = struct.pack("16sP16x", interface.encode(), value.buffer_info()[0])
            with suppress(OSError):
                fcntl.ioctl(control, _SIOCETHTOOL, request)
