"""Sockets of a real machine, as the lab's agents need them."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Final

from siplab.lab.errors import UsageError
from siplab.lab.wire.ip import Endpoint

# linux/in.h, linux/in6.h; Python's socket module does not name them everywhere.
_IP_PKTINFO: Final = 8
_IP_MTU_DISCOVER: Final = 10
_IP_PMTUDISC_DONT: Final = 0
_BUFFER: Final = 4 * 1024 * 1024
_BACKLOG: Final = 64
_PKTINFO_SPACE: Final = 64

WILDCARDS: Final = ("0.0.0.0", "::")  # noqa: S104 - a public server listens everywhere, when told so


def family_of(ip: str) -> socket.AddressFamily:
    """The family of an address in text."""
    return socket.AF_INET6 if ":" in ip else socket.AF_INET


def open_udp(local: Endpoint) -> socket.socket:
    """A non-blocking UDP socket. Raises ``UsageError`` with what is wrong."""
    made = _made(local, socket.SOCK_DGRAM)
    six = made.family == socket.AF_INET6
    with suppress(OSError):
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    with suppress(OSError):  # Linux only; large datagrams then go in fragments, as a phone's would
        if not six:
            made.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DONT)
    if local.ip in WILDCARDS:
        if six:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            made.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
    return _bound(made, local, "udp")


def open_listener(local: Endpoint) -> socket.socket:
    """A non-blocking TCP socket that listens. Raises ``UsageError``."""
    made = _made(local, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _bound(made, local, "tcp").listen(_BACKLOG)
    return made


def _made(local: Endpoint, kind: socket.SocketKind) -> socket.socket:
    try:
        made = socket.socket(family_of(local.ip), kind)
    except OSError as error:
        raise UsageError(f"no socket for {local.ip} here: {error.strerror}") from None
    made.setblocking(False)
    if made.family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return made


def _bound(made: socket.socket, local: Endpoint, protocol: str) -> socket.socket:
    try:
        made.bind((local.ip, local.port))
    except (OSError, OverflowError) as error:
        made.close()
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"{protocol} port {local.port} of {local.ip} can't be opened: {why}") from None
    return made


def receive(sock: socket.socket, local: Endpoint, size: int) -> tuple[bytes, Endpoint, Endpoint] | None:
    """One datagram from a server's socket: payload, source, and the local endpoint at which it arrived.

    ``None`` when there is none. A datagram longer than ``size`` comes as ``size + 1`` bytes. Raises
    ``OSError``.
    """
    try:
        if local.ip not in WILDCARDS:
            payload, address = sock.recvfrom(size + 1)
            return payload, Endpoint(address[0], address[1]), local
        payload, notes, _, address = sock.recvmsg(size + 1, _PKTINFO_SPACE)
    except BlockingIOError:
        return None
    own = local.ip
    for level, kind, data in notes:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            own = socket.inet_ntoa(data[8:12])
        elif (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            own = socket.inet_ntop(socket.AF_INET6, data[:16])
    return payload, Endpoint(address[0], address[1]), Endpoint(own, local.port)


def send(sock: socket.socket, bound: Endpoint, local: Endpoint, remote: Endpoint, payload: bytes) -> None:
    """Send one datagram from ``local``, the address at which the request arrived. Raises ``OSError``."""
    target = (remote.ip, remote.port)
    if bound.ip not in WILDCARDS or local.ip in WILDCARDS:
        sock.sendto(payload, target)
    elif sock.family == socket.AF_INET6:
        info = socket.inet_pton(socket.AF_INET6, local.ip) + bytes(4)
        sock.sendmsg([payload], [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, info)], 0, target)
    else:
        info = bytes(4) + socket.inet_aton(local.ip) + bytes(4)
        sock.sendmsg([payload], [(socket.IPPROTO_IP, _IP_PKTINFO, info)], 0, target)


def own_address(server: Endpoint) -> str:
    """The address of this machine from which packets to ``server`` leave. Raises ``UsageError``."""
    with socket.socket(family_of(server.ip), socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((server.ip, server.port))
        except OSError as error:
            raise UsageError(f"no way to {server.ip} from here: {error.strerror}") from None
        return str(probe.getsockname()[0])


def is_free(local: Endpoint) -> bool:
    """Whether a UDP port can be opened."""
    try:
        open_udp(local).close()
    except UsageError:
        return False
    return True


def free_port(ip: str) -> int:
    """A UDP port that is free at the moment."""
    with open_udp(Endpoint(ip, 0)) as sock:
        return int(sock.getsockname()[1])


def resolve(name: str, family: int = socket.AF_UNSPEC) -> str:
    """The address of a host. Raises ``UsageError`` with a message of one line."""
    try:
        found = socket.getaddrinfo(name, None, family, socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        found = []
    if not found:
        kind = "IPv4 " if family == socket.AF_INET else "IPv6 " if family == socket.AF_INET6 else ""
        raise UsageError(f"'{name}' has no {kind}address: check the server's name")
    return str(found[0][4][0])
