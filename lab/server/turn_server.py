"""A relay for media (RFC 8656): the UDP part of a TURN server, with STUN.

The rules of this file:

- Only ``users`` are served. Each of their sockets gets a port of its own at the relay's address.
- A peer's packet to that port is passed on only if its address is permitted (section 9), for instance by a
  channel.
- Allocations, permissions and channels end unless they are refreshed. No timers are needed: the end is
  noticed at the next use.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from siplab.lab.media import stun, turn
from siplab.lab.media.stun_attributes import hidden, is_genuine
from siplab.lab.media.turn import Class, Kind, Message, Method
from siplab.lab.sip.base import Action, Agent, Close, Listen, PassOn, Send
from siplab.lab.wire.ip import Endpoint

FIRST_PORT: Final = 49152  # section 7.2
_LAST_PORT: Final = 65535


@dataclass(eq=False)
class Allocation:
    """One client's socket: its relayed address, its permissions with their ends, and its channels.

    ``latest``: the peer to which it sent last. Times in seconds.
    """

    client: Endpoint
    relayed: Endpoint
    key: bytes
    until: float
    permitted: dict[str, float] = field(default_factory=dict)
    channels: dict[int, tuple[Endpoint, float]] = field(default_factory=dict)
    latest: Endpoint | None = None

    def channel_of(self, peer: Endpoint, now: float) -> int:
        """The channel that is bound to a peer, 0 for none."""
        return next((n for n, (each, end) in self.channels.items() if each == peer and end > now), 0)


class TurnServer(Agent):
    """Listens at ``local``; ``users`` maps names to passwords. ``relayed`` and ``dropped`` count packets."""

    def __init__(self, local: Endpoint, users: Mapping[str, str], realm: str, rng: random.Random) -> None:
        super().__init__()
        self.local = local
        self.allocations: dict[Endpoint, Allocation] = {}  # by the client's socket, as seen from the relay
        self.relayed = self.dropped = 0
        self._realm = realm.encode()
        self._keys = {
            name.encode(): turn.long_term_key(name.encode(), self._realm, password.encode())
            for name, password in users.items()
        }
        self._nonce = b"%016x" % rng.getrandbits(64)
        self._ports: dict[Endpoint, Allocation] = {}
        self._next_port = FIRST_PORT + 2 * rng.randrange(1000)

    def start(self, now: float) -> list[Action]:
        return [Listen(self.local)]

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        if local != self.local:
            return self._from_peer(payload, source, local, now)
        found = turn.read_channel_data(payload)
        if found is not None:
            return self._from_client(*found, source, now)
        answer = stun.answer(payload, source)
        if answer is not None:
            return [Send(local, source, answer)]
        message = turn.read(payload)
        if message is None or message.kind != Class.REQUEST:
            return []
        return self._on_request(message, source, now)

    # -- requests ----------------------------------------------------------------------------------

    def _on_request(self, message: Message, source: Endpoint, now: float) -> list[Action]:
        key = self._keys.get(message.values.get(Kind.USERNAME, b""))
        nonce = message.values.get(Kind.NONCE)
        if key is None or nonce != self._nonce or not is_genuine(message.wire, key):
            asked = [(Kind.REALM, self._realm), (Kind.NONCE, self._nonce)]
            return [Send(self.local, source, turn.error(message.method, message.transaction, 401, *asked))]
        known = self.allocations.get(source)
        if known is not None and known.until <= now:
            known = None
        if message.method == Method.ALLOCATE:
            return self._allocate(message, source, key, known, now)
        if known is None or known.key != key:
            return [self._refused(message, source, 437)]  # Allocation Mismatch
        if message.method == Method.REFRESH:
            return self._refresh(message, known, now)
        peer = message.endpoint(Kind.XOR_PEER_ADDRESS)
        if peer is None:
            return [self._refused(message, source, 400)]
        if message.method == Method.CHANNEL_BIND:
            channel = message.number(Kind.CHANNEL_NUMBER, 2)
            bound = known.channels.get(channel)
            others = known.channel_of(peer, now) not in (0, channel)
            taken = bound is not None and bound[0] != peer and bound[1] > now
            if not turn.FIRST_CHANNEL <= channel <= turn.LAST_CHANNEL or others or taken:
                return [self._refused(message, source, 400)]
            known.channels[channel] = peer, now + turn.CHANNEL
        known.permitted[peer.ip] = now + turn.PERMISSION
        return [
            Send(self.local, source, turn.message(Method(message.method), Class.SUCCESS, message.transaction))
        ]

    def _allocate(
        self, message: Message, source: Endpoint, key: bytes, known: Allocation | None, now: float
    ) -> list[Action]:
        actions: list[Action] = []
        if known is None:
            old = self.allocations.get(source)
            if old is not None:
                actions += self._end(old)
            if self._next_port > _LAST_PORT:
                return [*actions, self._refused(message, source, 508)]  # Insufficient Capacity
            relayed = Endpoint(self.local.ip, self._next_port)
            self._next_port += 1
            known = Allocation(source, relayed, key, now + turn.LIFETIME)
            self.allocations[source] = self._ports[relayed] = known
            actions.append(Listen(relayed))
        rows = [
            (Kind.XOR_RELAYED_ADDRESS, hidden(known.relayed, message.transaction)),
            (Kind.LIFETIME, struct.pack("!I", turn.LIFETIME)),
            (Kind.XOR_MAPPED_ADDRESS, hidden(source, message.transaction)),
        ]
        answer = turn.message(Method.ALLOCATE, Class.SUCCESS, message.transaction, *rows)
        return [*actions, Send(self.local, source, answer)]

    def _refresh(self, message: Message, known: Allocation, now: float) -> list[Action]:
        asked = message.number(Kind.LIFETIME, 4)
        actions: list[Action] = []
        lifetime = 0 if asked == 0 else turn.LIFETIME
        if lifetime:
            known.until = now + lifetime
        else:
            actions = self._end(known)
        rows = (Kind.LIFETIME, struct.pack("!I", lifetime))
        answer = turn.message(Method.REFRESH, Class.SUCCESS, message.transaction, rows)
        return [*actions, Send(self.local, known.client, answer)]

    def _refused(self, message: Message, source: Endpoint, status: int) -> Send:
        return Send(self.local, source, turn.error(message.method, message.transaction, status))

    def _end(self, allocation: Allocation) -> list[Action]:
        del self.allocations[allocation.client], self._ports[allocation.relayed]
        return [Close(allocation.relayed)]

    # -- media -------------------------------------------------------------------------------------

    def _from_client(self, channel: int, payload: bytes, source: Endpoint, now: float) -> list[Action]:
        known = self.allocations.get(source)
        peer, end = known.channels.get(channel, (None, 0.0)) if known is not None else (None, 0.0)
        if known is None or peer is None or min(end, known.until) <= now:
            self.dropped += 1
            return []
        known.latest = peer
        self.relayed += 1
        return [PassOn(known.relayed, peer, payload)]

    def _from_peer(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        known = self._ports[local]
        if min(known.permitted.get(source.ip, 0.0), known.until) <= now:
            self.dropped += 1
            return []
        self.relayed += 1
        channel = known.channel_of(source, now)
        if channel:
            return [PassOn(self.local, known.client, turn.channel_data(channel, payload))]
        transaction = bytes(12)  # nobody answers an indication
        rows = [(Kind.XOR_PEER_ADDRESS, hidden(source, transaction)), (Kind.DATA, payload)]
        return [
            PassOn(self.local, known.client, turn.message(Method.DATA, Class.INDICATION, transaction, *rows))
        ]

    def onward(self, source: Endpoint, local: Endpoint) -> tuple[Endpoint, Endpoint] | None:
        if local == self.local:
            known = self.allocations.get(source)
            return (known.relayed, known.latest) if known is not None and known.latest is not None else None
        there = self._ports.get(local)
        return (self.local, there.client) if there is not None else None
