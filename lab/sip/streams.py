"""SIP over TCP (RFC 3261 section 18): messages cut out of an agent's connections, and written into them.

The rules of this file:

- A message goes over the connection between its two endpoints, which is opened if there is none. So requests
  to a phone use the connection that its REGISTER came by (RFC 5923's idea), as long as it is there.
- What can't be framed within ``MAX_MESSAGE`` bytes ends its connection.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, Literal, Protocol

from siplab.lab.sip.base import Action, Listen, SendSegment, Transport
from siplab.lab.sip.tcp import Connection, TcpConfig, TcpStack
from siplab.lab.sip.timers import Timers
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage, split_stream

Framing = Literal["whole", "pipelined", "split"]
"""How messages become segments: each in a segment of its own (or several, where it is longer than the MSS),
several in one segment, or each in two, cut in the middle of a header line."""

CORK: Final = 0.2
"""Seconds for which a pipelined message waits for others, as with TCP_CORK of Linux (tcp(7))."""
MAX_MESSAGE: Final = 65535

Lost = Callable[[Endpoint, Endpoint, str, float], None]
"""``lost(local, remote, reason, now)``: a connection is of no use any more."""


class StreamUser(Protocol):
    """The owner of ``SipStreams``: it gets the messages, and its outbox the segments."""

    rng: random.Random
    timers: Timers
    outbox: list[Action]

    def receive(
        self, message: SipMessage, source: Endpoint, local: Endpoint, now: float, transport: Transport
    ) -> None:
        """A message arrived."""


class SipStreams:
    """The connections of one agent, and the SIP messages on them."""

    def __init__(self, layer: StreamUser, lost: Lost, *, mtu: int, framing: Framing) -> None:
        self._layer = layer
        self._lost = lost
        self._framing = framing
        cork = CORK if framing == "pipelined" else 0.0
        self.tcp = TcpStack(self, layer.timers, layer.rng, TcpConfig(mtu, cork))
        self._begun: dict[Connection, bytes] = {}  # the begin of a message, its end to come

    def listen(self, *endpoints: Endpoint) -> list[Action]:
        """Open ports, from which connections are made too."""
        self.tcp.listening.update(endpoints)
        return [Listen(each, "tcp") for each in dict.fromkeys(endpoints)]

    def send(self, local: Endpoint, remote: Endpoint, wire: bytes, now: float) -> None:
        """Send a message, or what keeps the connection alive."""
        pieces = cut(wire) if self._framing == "split" else [wire]
        self.tcp.connect(local, remote, now).write(pieces, now)

    def receive(self, packet: bytes, now: float) -> None:
        """A segment arrived."""
        self.tcp.receive(packet, now)

    # -- the stack's user ------------------------------------------------------------------------

    def emit(self, local: Endpoint, remote: Endpoint, packet: bytes) -> None:
        self._layer.outbox.append(SendSegment(local, remote, packet))

    def on_bytes(self, connection: Connection, data: bytes, now: float) -> None:
        left = self._begun.pop(connection, b"") + data
        for piece, complete in split_stream(left):
            if not complete:
                if len(piece) > MAX_MESSAGE:
                    connection.abort("a message has no end", now)
                else:
                    self._begun[connection] = piece
            elif piece.strip():
                message = SipMessage.parse(piece)
                self._layer.receive(message, connection.remote, connection.local, now, "tcp")

    def on_end(self, connection: Connection, reason: str, now: float) -> None:
        self._begun.pop(connection, None)
        self._lost(connection.local, connection.remote, reason, now)


def cut(wire: bytes) -> list[bytes]:
    """A message in two parts: the cut is in the middle of the line in the middle of its headers."""
    head = wire.partition(b"\r\n\r\n")[0]
    at = len(head) // 2
    begin, end = head.rfind(b"\n", 0, at) + 1, head.find(b"\r", at)
    middle = (begin + (end if end >= 0 else len(head))) // 2
    return [each for each in (wire[:middle], wire[middle:]) if each]
