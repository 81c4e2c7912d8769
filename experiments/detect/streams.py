"""The client's part over TCP and TLS: a connection, a few probes, and what the mirror reports about them."""

from __future__ import annotations

import random
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from siplab.experiments.detect.report import Way
from siplab.lab.probing.probe_wire import new_mark
from siplab.lab.probing.stream_mirror import METHODS, Reflection, next_message, probes, reflection
from siplab.lab.wire.ip import Endpoint

_CONNECT: Final = 4.0  # seconds
_ANSWER: Final = 4.0
_CHUNK: Final = 65536
AGAIN: Final = 2  # connections that must show the same before an ALG is blamed
_MOST: Final = 256 * 1024  # bytes of an answer

Kind = Literal["TCP", "TLS"]


@dataclass(frozen=True)
class Exchange:
    """What one connection showed. ``problem``: why it ended early; ``connected``: whether it was set up."""

    connected: bool
    reflections: tuple[Reflection, ...] = ()
    problem: str = ""
    silent: str = ""  # the method that got no answer over an open connection

    @property
    def changed(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for each in self.reflections for name in each.changed))

    @property
    def complete(self) -> bool:
        """Whether every probe was answered."""
        return len(self.reflections) == len(METHODS)


def exchange(server: Endpoint, kind: Kind, rng: random.Random, deadline: float) -> Exchange:
    """Connect, send each probe and read its answer. ``deadline``: a time of ``time.monotonic``."""
    left = deadline - time.monotonic()
    if left <= 0:
        return Exchange(False, problem="no time was left")
    try:
        sock = socket.create_connection((server.ip, server.port), min(_CONNECT, left))
    except OSError as error:
        return Exchange(False, problem=_why(error))
    try:
        if kind == "TLS":
            sock.settimeout(min(_CONNECT, _left(deadline)))
            sock = _anybody().wrap_socket(sock)
        return _talk(sock, kind, rng, deadline)
    except OSError as error:
        return Exchange(False, problem=f"no TLS: {_why(error)}")
    finally:
        sock.close()


def judge(kind: Kind, port: int, seen: Sequence[Exchange], other: Exchange | None) -> Way:
    """The verdict on a path over which connections were made. ``seen``: equal ones, in their order.

    ``other``: the same on a neighbouring port. It distinguishes messages that are blocked from other
    failures.
    """
    first = seen[0]
    evidence = [
        f"{each.method} over {kind} arrived with other bytes {where}: {', '.join(names)}"
        for each in first.reflections
        for where, names in (("at the server", each.there), ("here", each.back))
        if names
    ]
    changed = first.changed
    open_beside = other is not None and other.complete and not other.changed
    if open_beside and len(seen) >= AGAIN and all(each.silent for each in seen):
        evidence.append(
            f"{first.silent} over {kind} gets no answer on port {port} ({first.problem}), "
            f"in {len(seen)} connections, and on another port it does"
        )
        changed = (*changed, "dropped")
    if evidence:
        return Way(kind, port, "alg", changed, evidence[0], tuple(evidence))
    if first.complete:
        return Way(kind, port, "clean")
    return Way(kind, port, "undecided", detail=f"{first.silent}: {first.problem}")


def _anybody() -> ssl.SSLContext:
    """TLS without checking who answers: only the path is examined, and nothing secret is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _talk(sock: socket.socket, kind: Kind, rng: random.Random, deadline: float) -> Exchange:
    name = sock.getsockname()
    local = Endpoint(name[0], name[1])
    marks = tuple(new_mark(rng) for _ in METHODS)
    seen: list[Reflection] = []
    buffer = b""
    for wire in probes(local, kind.encode(), marks):
        method = wire.partition(b" ")[0].decode()
        try:
            sock.settimeout(min(_ANSWER, _left(deadline)))
            sock.sendall(wire)
            answer, buffer = _answer(sock, buffer, min(deadline, time.monotonic() + _ANSWER))
        except OSError as error:
            return Exchange(True, tuple(seen), _why(error), method)
        if not answer:
            return Exchange(True, tuple(seen), "no answer came", method)
        seen.append(reflection(wire, answer))
    return Exchange(True, tuple(seen))


def _left(deadline: float) -> float:
    """Seconds until the deadline. Raises ``TimeoutError`` if none are left."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _answer(sock: socket.socket, buffer: bytes, end: float) -> tuple[bytes, bytes]:
    """One message of the stream, and what follows it. Raises ``OSError`` if the connection ends."""
    while True:
        message, buffer = next_message(buffer)
        if message:
            return message, buffer
        left = end - time.monotonic()
        if left <= 0 or len(buffer) > _MOST:
            return b"", buffer
        sock.settimeout(left)
        try:
            data = sock.recv(_CHUNK)
        except TimeoutError:
            return b"", buffer
        if not data:
            raise ConnectionResetError("closed by the other side")
        buffer += data


def _why(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer to the connection's first packet"
    if isinstance(error, ssl.SSLError):
        return error.reason or "not understood"
    return (error.strerror or str(error)).lower()
