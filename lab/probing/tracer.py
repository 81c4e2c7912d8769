"""Sends one datagram repeatedly with a growing TTL, and stores the parts that ICMP errors quote.

The router at which the TTL ends quotes the datagram as it got it (RFC 792, RFC 1812 section 4.3.2.3). On the
way back the NAT restores the quoted addresses and ports, but not what an ALG wrote into the payload.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from siplab.lab.sip.base import Action, Agent, Listen, Send
from siplab.lab.wire.ip import Endpoint

MOST_HOPS: Final = 8
_TRIES: Final = 3
_WAIT: Final = 1.0  # seconds


class Tracer(Agent):
    """Sends ``payload`` from ``local`` to each of ``remotes``. ``quotes``: by remote and TTL, the quotes."""

    def __init__(self, local: Endpoint, remotes: Sequence[Endpoint], payload: bytes) -> None:
        super().__init__()
        self.local = local
        self.payload = payload
        self.quotes: dict[Endpoint, dict[int, bytes]] = {remote: {} for remote in remotes}
        self.answered: set[Endpoint] = set()
        self._round = 0
        self._next: float | None = None
        self._ttl: dict[Endpoint, int] = {}

    @property
    def done(self) -> bool:
        return self._next is None and self._round > 0

    def start(self, now: float) -> list[Action]:
        return [Listen(self.local), *self.on_timer(now)]

    def next_timer(self) -> float | None:
        return self._next

    def on_timer(self, now: float) -> list[Action]:
        """Send with the next TTL to each remote that has not answered; each TTL is tried ``_TRIES`` times."""
        ttl, copy = divmod(self._round, _TRIES)
        ttl += 1
        open_ = [each for each in self.quotes if each not in self.answered]
        if ttl > MOST_HOPS or not open_:
            self._next = None
            self._round += 1
            return []
        self._round += 1
        self._next = now + _WAIT
        wanted = [each for each in open_ if not copy or ttl not in self.quotes[each]]
        if not wanted:
            return self.on_timer(now)
        self._ttl = dict.fromkeys(wanted, ttl)
        return [Send(self.local, remote, self.payload, ttl) for remote in wanted]

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        """Any answer of the remote shows that the datagram has reached it: a higher TTL shows nothing new."""
        self.answered.add(source)
        return []

    def on_quote(self, remote: Endpoint, local: Endpoint, quote: bytes, now: float) -> list[Action]:
        if remote in self._ttl:
            self.quotes[remote].setdefault(self._ttl[remote], quote)
        return []
