"""The live network: agents on this machine, with UDP sockets of their own, on the wall clock.

The other side is a real host somewhere. The lab has no part in the network between: there are no gateways,
and the trace has only what the agents here saw. TCP and media need packets that the lab makes itself, so this
world has neither.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable
from typing import Final

from siplab.lab.sip.base import Action, Agent, Close, Listen, Send
from siplab.lab.wire.ip import DEFAULT_MTU, MAX_PACKET, Endpoint
from siplab.lab.worlds import host_sockets
from siplab.lab.worlds.base import World
from siplab.lab.worlds.trace import Received, Sent, WorldEvent

PHONE: Final = "phone"
SERVER: Final = "server"
_BATCH: Final = 64  # datagrams of one socket before the others have their turn
_MOST_HEARD: Final = 10_000  # datagrams that are looked at; one examination receives some hundreds
_COUNTS_MORE: Final = 4096  # bytes: a long datagram counts once more for each of these


class LiveNetworkWorld(World):
    """The phone's host is this machine, at the address ``own``; the server is at ``server``.

    After ``limit`` seconds the world waits for nothing any more.
    """

    kind = "live"
    place = "the live network"

    def __init__(self, own: str, server: str, limit: float) -> None:
        super().__init__()
        self._addresses = {PHONE: own, SERVER: server}
        self._began = time.monotonic()
        self._limit = limit
        self._selector = selectors.DefaultSelector()
        self._sockets: dict[Endpoint, tuple[socket.socket, Agent]] = {}
        self._problems: list[str] = []
        self._heard = 0

    @property
    def now(self) -> float:
        return time.monotonic() - self._began

    def host_of(self, role: str) -> tuple[str, str] | None:
        return (role, self._addresses[role]) if role in self._addresses else None

    def mtu_of(self, host: str) -> int:
        return DEFAULT_MTU

    def add(self, host: str, agent: Agent) -> None:
        """Start an agent here; one for the server's host is ignored: it runs there. Raises ``UsageError``."""
        if host == PHONE:
            super().add(host, agent)

    def run_until(self, done: Callable[[], bool], timeout: float) -> bool:
        end = min(self.now + timeout, self._limit)
        while not done():
            self._agenda.touch_all()
            now = self.now
            if now >= end:
                return False
            due = self._next_timer()
            for key, _ in self._selector.select(max(0.0, (end if due is None else min(end, due)) - now)):
                self._read(key.data)
            self._fire()
        return True

    def close(self) -> list[str]:
        """Close every socket. Returns one line for each datagram that could not be sent."""
        for local in list(self._sockets):
            self._close(local)
        self._selector.close()
        return self._problems

    def _carry_out(self, agent: Agent, action: Action) -> None:
        if isinstance(action, Listen):
            if action.local not in self._sockets:
                sock = host_sockets.open_udp(action.local)
                self._sockets[action.local] = (sock, agent)
                self._selector.register(sock, selectors.EVENT_READ, action.local)
        elif isinstance(action, Close):
            self._close(action.local)
        elif isinstance(action, Send):
            self._send(action)

    def _close_ports(self, agent: Agent) -> None:
        for local in [local for local, (_, each) in self._sockets.items() if each is agent]:
            self._close(local)

    def _close(self, local: Endpoint) -> None:
        sock, _ = self._sockets.pop(local)
        self._selector.unregister(sock)
        sock.close()

    def _read(self, local: Endpoint) -> None:
        for _ in range(_BATCH):
            if local not in self._sockets:
                return
            sock, agent = self._sockets[local]
            try:
                payload, address = sock.recvfrom(MAX_PACKET)
            except BlockingIOError:
                return
            except OSError:  # some systems report an ICMP error here; the agents learn the same from silence
                continue
            if self._heard >= _MOST_HEARD:  # a flood: storing all of it would fill the memory
                continue
            self._heard += 1 + len(payload) // _COUNTS_MORE
            source, now = Endpoint(address[0], address[1]), self.now
            self.trace.add(Received(now, PHONE, local, source, payload))
            self.perform(agent, agent.receive(payload, source, local, now))

    def _send(self, send: Send) -> None:
        sock, _ = self._sockets[send.local]
        try:
            sock.sendto(send.payload, (send.remote.ip, send.remote.port))
        except OSError as error:
            self._problems.append(f"nothing can be sent to {send.remote}: {error.strerror}")
            self.remark(PHONE, WorldEvent.NOT_SENT, self._problems[-1], send.local, send.remote)
        else:
            self.trace.add(Sent(self.now, PHONE, send.local, send.remote, send.payload))
