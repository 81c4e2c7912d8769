"""TCP for agents (RFC 9293), sans-IO: segments in, segments out, bytes in order in between.

The rules of this file:

- A stack belongs to one agent and has all its connections, each known by its two endpoints.
- A segment that belongs to no connection, and opens none, is answered with an RST.
"""

from __future__ import annotations

import random

from siplab.lab.sip.tcp_connection import OPENING, SENDING, Connection, State, TcpConfig, TcpUser
from siplab.lab.sip.timers import Timers
from siplab.lab.wire import ip
from siplab.lab.wire.ip import ACK, RST, SYN, Endpoint
from siplab.lab.wire.tcp_segment import reset

__all__ = ["Connection", "State", "TcpConfig", "TcpStack", "TcpUser"]


class TcpStack:
    """The connections of one agent; ``listening`` has the endpoints at which others may open one."""

    def __init__(self, user: TcpUser, timers: Timers, rng: random.Random, config: TcpConfig) -> None:
        self.user = user
        self.timers = timers
        self.rng = rng
        self.config = config
        self.listening: set[Endpoint] = set()
        self.connections: dict[tuple[Endpoint, Endpoint], Connection] = {}

    def connect(self, local: Endpoint, remote: Endpoint, now: float) -> Connection:
        """The connection between two endpoints, opened if there is none that can still be written to."""
        known = self.connections.get((local, remote))
        if known is not None and (known.state in SENDING or known.state in OPENING):
            return known
        if known is not None:
            known.forget()
        made = self.connections[local, remote] = Connection(self, local, remote, State.SYN_SENT)
        made.open(now)
        return made

    def receive(self, data: bytes, now: float) -> None:
        """An IP packet with a TCP segment arrived; a damaged one is dropped."""
        if ip.verify(data):
            return
        packet = ip.parse(data)
        key = (packet.destination, packet.source)
        known = self.connections.get(key)
        begins = packet.flags & (SYN | ACK | RST) == SYN
        if known is not None and not (begins and known.state is State.TIME_WAIT):
            known.receive(packet, now)
            known.settle()
        elif begins and packet.destination in self.listening:
            if known is not None:
                known.forget()
            self.connections[key] = made = Connection(self, *key, State.SYN_RECEIVED)
            made.accept(packet, now)
        else:
            answer = reset(packet)
            if answer is not None:
                self.user.emit(packet.destination, packet.source, answer)

    def forget(self, connection: Connection) -> None:
        """Called by a connection that is closed."""
        key = (connection.local, connection.remote)
        if self.connections.get(key) is connection:
            del self.connections[key]
