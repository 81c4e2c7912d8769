"""UDP sockets of the lab's agents, each opened inside its host's network namespace."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from typing import Final

from siplab.lab.sip.base import Send
from siplab.lab.wire.ip import DEFAULT_TTL, Endpoint
from siplab.lab.worlds.base import WorldError
from siplab.lab.worlds.emulated import namespaces as ns

# linux/in.h, linux/in6.h; Python's socket module does not name them.
IP_MTU_DISCOVER: Final = 10
IP_PMTUDISC_DONT: Final = 0
IP_RECVERR: Final = 11
IPV6_RECVERR: Final = 25
IPV6_HDRINCL: Final = 36
_BUFFER: Final = 4 * 1024 * 1024


def open_udp(namespace: int, local: Endpoint, dscp: int = 0) -> socket.socket:
    """A non-blocking UDP socket at ``local`` that reports ICMP errors; ``dscp`` marks its datagrams.

    Raises ``WorldError``.
    """
    six = ":" in local.ip
    with ns.inside(namespace):
        created = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        created.setblocking(False)
        created.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        if six:
            created.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
        else:
            created.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
            # The kernel remembers a path's MTU after the trial, and that would change the next one.
            created.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)
        if dscp:
            kind = (socket.IPPROTO_IPV6, socket.IPV6_TCLASS) if six else (socket.IPPROTO_IP, socket.IP_TOS)
            created.setsockopt(*kind, dscp << 2)
        created.bind((local.ip, local.port))
    except OSError as error:
        created.close()
        raise WorldError(f"{local} can't be opened: {error.strerror}") from None
    return created


def send(sock: socket.socket, order: Send) -> None:
    """Send one datagram. Raises ``OSError``."""
    target = (order.remote.ip, order.remote.port)
    if order.ttl == DEFAULT_TTL:
        sock.sendto(order.payload, target)
        return
    six = ":" in order.remote.ip
    kind = (
        (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT) if six else (socket.IPPROTO_IP, socket.IP_TTL)
    )  # of this datagram alone
    sock.sendmsg([order.payload], [(*kind, struct.pack("i", order.ttl))], 0, target)


def read_error(sock: socket.socket) -> tuple[Endpoint, bytes] | None:
    """The destination that the oldest queued ICMP error is about, and the payload that it quotes.

    ``None`` when there is no error.
    """
    try:
        quote, _, _, address = sock.recvmsg(65535, 512, socket.MSG_ERRQUEUE)
    except BlockingIOError:
        return None
    except OSError:
        return None
    sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # otherwise the next send fails with this error
    return (Endpoint(address[0], address[1]), quote) if address else None


class RawSender:
    """Sends whole IP packets from inside a namespace, without the queue."""

    def __init__(self, namespace: int) -> None:
        with ns.inside(namespace):
            self._v4 = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
            self._v6: socket.socket | None = None
            with suppress(OSError):  # IPv6 may be compiled out
                self._v6 = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self._v4.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        if self._v6 is not None:
            self._v6.setsockopt(socket.IPPROTO_IPV6, IPV6_HDRINCL, struct.pack("i", 1))

    def send(self, packet: bytes) -> None:
        """Send one packet to its destination address. Raises ``OSError``."""
        if packet[0] >> 4 == 4:
            self._v4.sendto(packet, (socket.inet_ntoa(packet[16:20]), 0))
        elif self._v6 is not None:
            self._v6.sendto(packet, (socket.inet_ntop(socket.AF_INET6, packet[24:40]), 0))

    def close(self) -> None:
        self._v4.close()
        if self._v6 is not None:
            self._v6.close()
