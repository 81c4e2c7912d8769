"""A client of any SIP server: sends one request after the other, and stores the answers.

Requests are repeated at RFC 3261's intervals (timer E) until a final answer arrives. If there are
credentials, a challenge is answered. The server needs no more features than any registrar.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

from siplab.lab.probing.probe_wire import marks_of, new_mark
from siplab.lab.sip.base import Action, Agent, Listen, Send
from siplab.lab.sip.digest import Credentials
from siplab.lab.sip.messages import Incoming
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

T1: Final = 0.5
T2: Final = 4.0
_TRIES: Final = 8

Asking = tuple[Endpoint, Callable[[bytes, int, Credentials], bytes]]
"""Where a request goes, and a function that makes it from a mark, a sequence number and credentials."""


class SipClient(Agent):
    """Sends ``askings`` from ``local``. ``answers``: the final answer to each, ``None`` if none came."""

    def __init__(
        self, local: Endpoint, askings: Sequence[Asking], credentials: Credentials, rng: random.Random
    ) -> None:
        super().__init__()
        self.local = local
        self.answers: list[Incoming | None] = []
        self.sent: list[bytes] = []
        self._askings = list(askings)
        self._credentials = credentials
        self._rng = rng
        self._mark = b""
        self._wire = b""
        self._number = 0
        self._tries = 0
        self._challenged = False
        self._next: float | None = None

    @property
    def done(self) -> bool:
        return len(self.answers) == len(self._askings)

    def start(self, now: float) -> list[Action]:
        return [Listen(self.local), *self._ask(now)]

    def next_timer(self) -> float | None:
        return self._next

    def on_timer(self, now: float) -> list[Action]:
        if self.done:
            self._next = None
            return []
        if self._tries >= _TRIES:
            return self._answered(None, now)
        self._tries += 1
        self._next = now + min(T1 * 2 ** (self._tries - 1), T2)
        return [Send(self.local, self._askings[len(self.answers)][0], self._wire)]

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        if self.done or self._mark not in marks_of(payload):
            return []
        answer = Incoming(SipMessage.parse(payload), source, local)
        if answer.status < 200:
            return []
        if answer.status in (401, 407) and not self._challenged and self._credentials.accept(answer):
            self._challenged = True
            return self._ask(now)
        return self._answered(answer, now)

    def _answered(self, answer: Incoming | None, now: float) -> list[Action]:
        self.answers.append(answer)
        self.sent.append(self._wire)
        self._challenged = False
        if self.done:
            self._next = None
            return []
        return self._ask(now)

    def _ask(self, now: float) -> list[Action]:
        self._mark, self._tries = new_mark(self._rng), 0
        self._number += 1
        self._wire = self._askings[len(self.answers)][1](self._mark, self._number, self._credentials)
        return self.on_timer(now)
