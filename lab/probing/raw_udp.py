"""A bare UDP socket: it sends what it is told to, and stores what arrives."""

from __future__ import annotations

from siplab.lab.sip.base import Action, Agent, Listen, Send
from siplab.lab.wire.ip import Endpoint


class RawUdp(Agent):
    """A host that speaks no SIP: a stranger, a browser, a home service. ``heard``: payloads and sources."""

    def __init__(self, local: Endpoint) -> None:
        super().__init__()
        self.local = local
        self.heard: list[tuple[bytes, Endpoint]] = []

    def start(self, now: float) -> list[Action]:
        return [Listen(self.local)]

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        self.heard.append((payload, source))
        return []

    def say(self, payload: bytes, remote: Endpoint) -> list[Action]:
        """Send one datagram."""
        return [Send(self.local, remote, payload)]
