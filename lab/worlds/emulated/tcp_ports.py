"""Ports of agents that have a TCP of their own: whole segments from the wire, and a kernel that stays silent.

Facts that this file relies on, each measured on a real kernel:

- A raw socket gets a copy of a segment before the kernel's own TCP handles it.
- The kernel's TCP answers RST where nobody listens. A listening socket whose filter accepts nothing makes the
  kernel drop segments without an answer, and keeps the port from others.
- Over IPv4 a raw socket returns the IP header too, over IPv6 only what follows it.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from typing import Final

from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.base import WorldError
from siplab.lab.worlds.emulated import namespaces as ns

_SO_ATTACH_FILTER: Final = 26  # asm-generic/socket.h
_BUFFER: Final = 4 * 1024 * 1024
_ALL: Final = 0x40000

# linux/filter.h, linux/bpf_common.h: code, jump if true, jump if false, operand
_Instruction = tuple[int, int, int, int]
_NOTHING: Final[list[_Instruction]] = [(0x06, 0, 0, 0)]


def _to_port(port: int, *, six: bool) -> list[_Instruction]:
    """A filter for segments to a port."""
    load: list[_Instruction] = [(0x28, 0, 0, 2)] if six else [(0xB1, 0, 0, 0), (0x48, 0, 0, 2)]
    return [*load, (0x15, 0, 1, port), (0x06, 0, 0, _ALL), *_NOTHING]


def _attach(sock: socket.socket, program: list[_Instruction]) -> None:
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *row) for row in program))
    where = struct.pack(
        "HxxxxxxQ" if ctypes.sizeof(ctypes.c_void_p) == 8 else "HxxI", len(program), ctypes.addressof(code)
    )
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, where)


class TcpPort:
    """One port in a host's network namespace. Raises ``WorldError`` when the port is taken."""

    def __init__(self, namespace: int, local: Endpoint) -> None:
        self.local = local
        self._six = ":" in local.ip
        family = socket.AF_INET6 if self._six else socket.AF_INET
        with ns.inside(namespace):
            self._silencer = socket.socket(family, socket.SOCK_STREAM)
            self._raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP)
        try:
            _attach(self._raw, _to_port(local.port, six=self._six))
            self._raw.setblocking(False)
            self._raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            self._raw.bind((local.ip, 0))
            _attach(self._silencer, _NOTHING)
            self._silencer.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._silencer.bind((local.ip, local.port))
            self._silencer.listen(1)
        except OSError as error:
            self.close()
            raise WorldError(f"TCP port {local} can't be opened: {error.strerror}") from None

    def fileno(self) -> int:
        return self._raw.fileno()

    def read(self) -> bytes:
        """The oldest waiting segment, as an IP packet. Raises ``BlockingIOError`` when there is none."""
        data, address = self._raw.recvfrom(ip.MAX_PACKET)
        if not self._six:
            return data
        header = struct.pack("!IHBB", 0x60000000, len(data), ip.TCP, ip.DEFAULT_TTL)
        return header + ip.pack_ip(address[0].partition("%")[0]) + ip.pack_ip(self.local.ip) + data

    def close(self) -> None:
        self._raw.close()
        self._silencer.close()
