"""A phone's media through a TURN relay (RFC 8656): an address there per socket, a channel per peer.

The rules of this file:

- When the phone starts, each socket asks the relay for an address, and refreshes it after half its lifetime.
  Binding a channel again renews the permission at the relay, and happens before the permission ends.
- A request is repeated after 0.5 s, and the wait doubles; three requests in all. Without an answer the
  socket's own address is used.
- Session descriptions have the relayed address. Media go to the relay as soon as a channel to their peer is
  bound.
- RTP takes the same way to the relay whoever the peer is. That is why a relay helps behind a symmetric NAT.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from siplab.lab.media import turn
from siplab.lab.media.turn import Class, Credential, Kind, Message, Method
from siplab.lab.sip.events import EventKind, Facts
from siplab.lab.sip.timers import Timer
from siplab.lab.sip.transactions import TransactionLayer
from siplab.lab.wire.ip import Endpoint

RTO: Final = 0.5  # seconds
_TRIES: Final = 3
_REFRESH: Final = turn.LIFETIME / 2
_REBIND: Final = turn.PERMISSION - 60.0  # seconds: before the permission ends

Build = Callable[[bytes, Credential], bytes]
Done = Callable[[Message | None, float], None]


@dataclass(eq=False)
class _Socket:
    """A socket of the phone. ``heard``: the peer of the latest packet from the relay."""

    local: Endpoint
    relayed: Endpoint | None = None
    channels: dict[int, Endpoint] = field(default_factory=dict)  # bound ones
    asked: dict[Endpoint, list[Callable[[float], Any]]] = field(default_factory=dict)
    heard: Endpoint | None = None


@dataclass(eq=False)
class _Query:
    """A request under way."""

    socket: _Socket
    build: Build
    done: Done
    transaction: bytes = b""
    tries: int = 0
    proven: bool = False
    timer: Timer | None = None


class MediaRelaying:
    """A phone's relayed addresses. Idle without a ``server``; ``user`` and ``password`` are for the relay."""

    def __init__(
        self, layer: TransactionLayer, rng: random.Random, server: Endpoint | None, user: str, password: str
    ) -> None:
        self._layer = layer
        self._rng = rng
        self._server = server
        self._credential = Credential(user.encode(), password.encode())
        self._sockets: dict[Endpoint, _Socket] = {}
        self._queries: dict[bytes, _Query] = {}
        self._waiting: list[Callable[[float], Any]] = []
        self._settled = server is None
        if server is not None:
            layer.by_relay = self._by_relay

    def start(self, sockets: list[Endpoint], now: float) -> None:
        """Ask for a relayed address for each of these sockets."""
        if self._server is None:
            return
        for local in sockets:
            each = self._sockets[local] = _Socket(local)
            self._ask(each, turn.allocate, partial(self._allocated, each), now)

    def when_settled(self, call: Callable[[float], Any], now: float) -> None:
        """Call ``call(now)`` at once, or when each socket has got an address or a refusal."""
        if self._settled:
            call(now)
        else:
            self._waiting.append(call)

    def relayed(self, local: Endpoint) -> Endpoint | None:
        """A socket's address at the relay."""
        socket = self._sockets.get(local)
        return socket.relayed if socket is not None else None

    def lead(
        self, local: Endpoint, peer: Endpoint, now: float, ready: Callable[[Endpoint, int, float], Any]
    ) -> None:
        """Call ``ready(relay, channel, now)`` as soon as media of ``local`` may go to ``peer``."""
        socket, server = self._sockets[local], self._server
        assert server is not None
        channel = _channel_of(socket, peer)
        if channel:
            ready(server, channel, now)
            return
        first = peer not in socket.asked
        calls = socket.asked.setdefault(peer, [])
        calls.append(lambda then: ready(server, _channel_of(socket, peer), then))
        if first:
            self._bind(socket, turn.FIRST_CHANNEL + len(socket.channels) + len(socket.asked) - 1, peer, now)

    # -- what arrives ------------------------------------------------------------------------------

    def receive(
        self, payload: bytes, source: Endpoint, local: Endpoint, now: float
    ) -> tuple[bytes, Endpoint] | None:
        """The payload of a datagram from the relay, and the peer that sent it.

        The payload is empty if the datagram was for the phone itself. ``None`` for a datagram from elsewhere.
        """
        socket = self._sockets.get(local)
        if socket is None or source != self._server:
            return None
        found = turn.read_channel_data(payload)
        if found is not None and found[0] in socket.channels:
            socket.heard = socket.channels[found[0]]
            return found[1], socket.heard
        message = turn.read(payload)
        if message is None:
            return b"", source
        if message.method == Method.DATA and message.kind == Class.INDICATION:
            peer = message.endpoint(Kind.XOR_PEER_ADDRESS)
            if peer is None:
                return b"", source
            socket.heard = peer
            return message.values.get(Kind.DATA, b""), peer
        query = self._queries.pop(message.transaction, None)
        if query is not None:
            self._answered(query, message, now)
        return b"", source

    def speaker(self, source: Endpoint, local: Endpoint) -> Endpoint:
        """The peer that sends a stretch of media: if it comes from the relay, the peer behind the relay."""
        socket = self._sockets.get(local)
        return socket.heard if socket is not None and socket.heard and source == self._server else source

    # -- requests ----------------------------------------------------------------------------------

    def _ask(self, socket: _Socket, build: Build, done: Done, now: float) -> None:
        self._send(_Query(socket, build, done), now)

    def _send(self, query: _Query, now: float) -> None:
        assert self._server is not None
        query.transaction = self._rng.getrandbits(96).to_bytes(12, "big")
        self._queries[query.transaction] = query
        query.tries = 0
        self._transmit(query, now)

    def _transmit(self, query: _Query, now: float) -> None:
        assert self._server is not None
        if query.tries == _TRIES:
            self._queries.pop(query.transaction, None)
            query.done(None, now)
            return
        wire = query.build(query.transaction, self._credential)
        self._layer.send(query.socket.local, self._server, wire)
        query.timer = self._layer.timers.start(now + RTO * 2**query.tries, self._transmit, query)
        query.tries += 1

    def _answered(self, query: _Query, message: Message, now: float) -> None:
        if query.timer is not None:
            query.timer.cancel()
        challenged = message.kind == Class.ERROR and message.status == 401
        if challenged and not query.proven:
            self._credential = self._credential._replace(
                realm=message.values.get(Kind.REALM, b""), nonce=message.values.get(Kind.NONCE, b"")
            )
            query.proven = True
            self._send(query, now)
            return
        query.done(message if message.kind == Class.SUCCESS else None, now)

    def _allocated(self, socket: _Socket, answer: Message | None, now: float) -> None:
        socket.relayed = answer.endpoint(Kind.XOR_RELAYED_ADDRESS) if answer is not None else None
        user, facts = self._layer.user, Facts(local=socket.local, remote=socket.relayed)
        if socket.relayed is not None:
            user.note(now, EventKind.RELAYED, f"{socket.local} is {socket.relayed} at the relay", facts)
            self._layer.timers.start(now + _REFRESH, self._refresh, socket)
        else:
            user.note(now, EventKind.TURN_FAILED, f"no relayed address for {socket.local}", facts)
            del self._sockets[socket.local]
        if all(each.relayed is not None for each in self._sockets.values()) and not self._settled:
            self._settled = True
            for each in self._waiting:
                each(now)
            self._waiting.clear()

    def _refresh(self, socket: _Socket, now: float) -> None:
        def build(transaction: bytes, credential: Credential) -> bytes:
            return turn.request(Method.REFRESH, transaction, credential)

        self._ask(socket, build, lambda answer, then: None, now)
        self._layer.timers.start(now + _REFRESH, self._refresh, socket)

    def _bind(self, socket: _Socket, channel: int, peer: Endpoint, now: float) -> None:
        def build(transaction: bytes, credential: Credential) -> bytes:
            return turn.bind(transaction, credential, channel, peer)

        def done(answer: Message | None, then: float) -> None:
            calls = socket.asked.pop(peer, [])
            if answer is None:
                facts = Facts(local=socket.local, remote=peer)
                self._layer.user.note(then, EventKind.TURN_FAILED, f"no channel to {peer}", facts)
                return
            socket.channels[channel] = peer
            for each in calls:
                each(then)
            again = then + _REBIND
            self._layer.timers.start(again, lambda _, later: self._bind(socket, channel, peer, later), None)

        self._ask(socket, build, done, now)

    def _by_relay(self, local: Endpoint, remote: Endpoint, payload: bytes) -> tuple[Endpoint, bytes] | None:
        """Relay and wrapped payload for a datagram outside of streams; ``None`` if it goes directly."""
        socket = self._sockets.get(local)
        channel = _channel_of(socket, remote) if socket is not None else 0
        return (self._server, turn.channel_data(channel, payload)) if channel and self._server else None


def _channel_of(socket: _Socket, peer: Endpoint) -> int:
    return next((number for number, each in socket.channels.items() if each == peer), 0)
