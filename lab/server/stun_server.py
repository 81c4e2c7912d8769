"""A STUN server on one port (RFC 8489): it answers a request with the endpoint that the request came from."""

from __future__ import annotations

from typing import Final

from siplab.lab.media import stun
from siplab.lab.sip.base import Action, Agent, Listen, Send
from siplab.lab.wire.ip import Endpoint

STUN_PORT: Final = 3478


class StunServer(Agent):
    """Answers binding requests at ``local``; anything else is ignored.

    ``classic``: with MAPPED-ADDRESS, which has the address in plain form (RFC 3489 section 11.2.1).
    """

    def __init__(self, local: Endpoint, *, classic: bool = False) -> None:
        super().__init__()
        self.local, self.classic = local, classic

    def start(self, now: float) -> list[Action]:
        return [Listen(self.local)]

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        answer = stun.answer(payload, source, classic=self.classic)
        return [] if answer is None else [Send(local, source, answer)]
