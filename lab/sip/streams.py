"""SIP over TCP (RFC 3261 section 18): messages cut out of an agent's connections, and written into them.

The rules of this file:

- A message goes over the connection between its two endpoints, which is opened if there is none. So requests
  to a phone use the connection that its REGISTER came by (RFC 5923's idea), as long as it is there.
- With TLS, all bytes of a connection go through its session (``lab.sip.tls``). When the session fails, its
  alert is sent and the connection is closed.
- A message whose end does not come within ``MAX_MESSAGE`` bytes ends its connection.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Container
from typing import Final, Literal, Protocol

from siplab.lab.sip.base import Action, Listen, SendSegment, SipTransport
from siplab.lab.sip.events import NO_FACTS, EventKind, Facts
from siplab.lab.sip.tcp import Connection, TcpConfig, TcpStack
from siplab.lab.sip.timers import Timers
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage, split_stream

Framing = Literal["whole", "pipelined", "split"]
"""How messages become segments. ``whole``: each in a segment of its own (in several, if longer than the MSS);
``pipelined``: several in one segment; ``split``: each in two, cut in the middle of a header line."""

CORK: Final = 0.2
"""Seconds for which a pipelined message waits for others, as with TCP_CORK of Linux (tcp(7))."""
MAX_MESSAGE: Final = 65535

Lost = Callable[[Endpoint, Endpoint, str, float], None]
"""``lost(local, remote, reason, now)``: a connection can't be used any more."""


class Secured(Protocol):
    """One end of a connection with TLS: ``lab.sip.tls.TlsSession``."""

    failed: str

    def received(self, data: bytes) -> bytes: ...
    def write(self, plain: bytes) -> None: ...
    def outgoing(self) -> bytes: ...


class Securing(Protocol):
    """An agent's TLS: ``lab.sip.tls.Tls``, which needs ``ssl``, and not every Python has that."""

    def session(self, *, opens: bool) -> Secured: ...


class Noting(Protocol):
    """Whoever keeps a record of events."""

    def note(self, now: float, kind: EventKind, detail: str = "", facts: Facts = NO_FACTS) -> None: ...


class StreamUser(Protocol):
    """The owner of ``SipStreams``: it gets the messages, its ``outbox`` the segments, ``user`` the events."""

    rng: random.Random
    timers: Timers
    outbox: list[Action]

    @property
    def user(self) -> Noting: ...

    def receive(
        self, message: SipMessage, source: Endpoint, local: Endpoint, now: float, transport: SipTransport
    ) -> None:
        """A message arrived."""


class SipStreams:
    """The connections of one agent, and the SIP messages on them."""

    def __init__(
        self,
        layer: StreamUser,
        lost: Lost,
        *,
        mtu: int,
        framing: Framing,
        tls: Securing | None = None,
        tls_ports: Container[int] = (),
    ) -> None:
        """``tls_ports``: the agent's own ports at which others connect with TLS."""
        self._layer = layer
        self._lost = lost
        self._framing = framing
        cork = CORK if framing == "pipelined" else 0.0
        self.tcp = TcpStack(self, layer.timers, layer.rng, TcpConfig(mtu, cork))
        self._begun: dict[Connection, bytes] = {}  # the beginning of a message, the rest to come
        self._tls, self._tls_ports = tls, tls_ports
        self._secured: dict[Connection, Secured] = {}

    def listen(self, *endpoints: Endpoint) -> list[Action]:
        """Open ports for connections from others; the agent's own connections use them too."""
        self.tcp.listening.update(endpoints)
        return [Listen(each, "tcp") for each in dict.fromkeys(endpoints)]

    def send(
        self, local: Endpoint, remote: Endpoint, wire: bytes, now: float, *, secure: bool = False
    ) -> None:
        """Send a message or a keep-alive. ``secure``: over TLS."""
        pieces = cut(wire) if self._framing == "split" else [wire]
        connection = self.tcp.connect(local, remote, now)
        if not secure or self._tls is None:
            connection.write(pieces, now)
            return
        session = self._secured.get(connection)
        if session is None:
            session = self._secured[connection] = self._tls.session(opens=True)
        for piece in pieces:
            session.write(piece)
            connection.write([session.outgoing()], now)

    def receive(self, packet: bytes, now: float) -> None:
        """A segment arrived."""
        self.tcp.receive(packet, now)

    # -- the stack's user ------------------------------------------------------------------------

    def emit(self, local: Endpoint, remote: Endpoint, packet: bytes) -> None:
        self._layer.outbox.append(SendSegment(local, remote, packet))

    def on_bytes(self, connection: Connection, data: bytes, now: float) -> None:
        session = self._secured.get(connection)
        if session is None and self._tls is not None and connection.local.port in self._tls_ports:
            session = self._secured[connection] = self._tls.session(opens=False)
        if session is not None:
            if session.failed:
                return
            data = session.received(data)
            connection.write([session.outgoing()], now)
            if session.failed:
                connection.close(now)
                facts = Facts(local=connection.local, remote=connection.remote)
                self._layer.user.note(now, EventKind.TLS_FAILED, session.failed, facts)
                self._lost(connection.local, connection.remote, f"TLS: {session.failed}", now)
                return
        transport: SipTransport = "tcp" if session is None else "tls"
        left = self._begun.pop(connection, b"") + data
        for piece, complete in split_stream(left):
            if not complete:
                if len(piece) > MAX_MESSAGE:
                    connection.abort("a message has no end", now)
                else:
                    self._begun[connection] = piece
            elif piece.strip():
                message = SipMessage.parse(piece)
                self._layer.receive(message, connection.remote, connection.local, now, transport)

    def on_end(self, connection: Connection, reason: str, now: float) -> None:
        self._begun.pop(connection, None)
        self._secured.pop(connection, None)
        self._lost(connection.local, connection.remote, reason, now)


def cut(wire: bytes) -> list[bytes]:
    """A message in two parts: the cut is in the middle of the line in the middle of its headers."""
    head = wire.partition(b"\r\n\r\n")[0]
    at = len(head) // 2
    begin, end = head.rfind(b"\n", 0, at) + 1, head.find(b"\r", at)
    middle = (begin + (end if end >= 0 else len(head))) // 2
    return [each for each in (wire[:middle], wire[middle:]) if each]
