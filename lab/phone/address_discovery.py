"""A phone's public endpoints: each of its sockets asks a STUN server (RFC 8489, RFC 5389).

The rules of this file:

- One binding request per socket. It is repeated after 0.5 s, and the wait doubles (section 6.2.1). Three
  requests in all, since the phone's user is waiting. Without an answer the socket's own address is used.
- All sockets ask again at an interval, which also keeps their bindings.
- The address that the server saw holds for others only if the NAT's mapping is endpoint-independent.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

from siplab.lab.media import stun
from siplab.lab.sip.events import EventKind, Facts
from siplab.lab.sip.timers import Timer
from siplab.lab.sip.transactions import TransactionLayer
from siplab.lab.wire.ip import Endpoint

RTO: Final = 0.5  # seconds
_TRIES: Final = 3


class _Query:
    """One binding request under way."""

    def __init__(self, local: Endpoint, transaction: bytes) -> None:
        self.local = local
        self.transaction = transaction
        self.tries = 0
        self.timer: Timer | None = None


class AddressDiscovery:
    """The public endpoints of a phone's sockets, as far as known, in ``mapped``. Idle without a ``server``.

    ``changed(local, public, now)`` is called when a public endpoint is found or changes. ``interval``:
    seconds from one round of requests to the next.
    """

    def __init__(
        self,
        layer: TransactionLayer,
        rng: random.Random,
        server: Endpoint | None,
        interval: float,
        changed: Callable[[Endpoint, Endpoint, float], None],
    ) -> None:
        self._layer = layer
        self._rng = rng
        self._server = server
        self._interval = interval
        self._changed = changed
        self._sockets: list[Endpoint] = []
        self._queries: dict[Endpoint, _Query] = {}
        self._waiting: list[Callable[[float], Any]] = []
        self._settled = server is None
        self.mapped: dict[Endpoint, Endpoint] = {}

    def start(self, sockets: list[Endpoint], now: float) -> None:
        """Ask for the public endpoints of these sockets."""
        self._sockets = sockets
        self._round(None, now)

    def announced(self, local: Endpoint) -> Endpoint:
        """The endpoint that messages name for a socket."""
        return self.mapped.get(local, local)

    def when_settled(self, call: Callable[[float], Any], now: float) -> None:
        """Call ``call(now)`` at once, or when the first round of requests is over."""
        if self._settled:
            call(now)
        else:
            self._waiting.append(call)

    def receive(self, payload: bytes, local: Endpoint, now: float) -> bool:
        """Whether a datagram was the answer to one of our requests."""
        query = self._queries.get(local)
        public = stun.mapped(payload, query.transaction) if query is not None else None
        if public is None:
            return False
        self._end(local)
        if self.mapped.get(local) != public:
            self.mapped[local] = public
            self._changed(local, public, now)
        self._check(now)
        return True

    def _round(self, argument: object, now: float) -> None:
        if self._server is None:
            return
        for local in self._sockets:
            self._end(local)
            query = self._queries[local] = _Query(local, self._rng.getrandbits(96).to_bytes(12, "big"))
            self._ask(query, now)
        self._layer.timers.start(now + self._interval, self._round)

    def _ask(self, query: _Query, now: float) -> None:
        if query.tries == _TRIES:
            facts = Facts(local=query.local)
            self._layer.user.note(now, EventKind.STUN_FAILED, f"no answer for {query.local}", facts)
            self._end(query.local)
            self._check(now)
            return
        assert self._server is not None
        self._layer.send(query.local, self._server, stun.request(query.transaction))
        query.timer = self._layer.timers.start(now + RTO * 2**query.tries, self._ask, query)
        query.tries += 1

    def _end(self, local: Endpoint) -> None:
        query = self._queries.pop(local, None)
        if query is not None and query.timer is not None:
            query.timer.cancel()

    def _check(self, now: float) -> None:
        """The first round is over when no request waits for an answer."""
        if self._queries or self._settled:
            return
        self._settled = True
        for each in self._waiting:
            each(now)
        self._waiting.clear()
