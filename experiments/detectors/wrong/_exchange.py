"""The exchange that they share: one REGISTER, and whatever comes back first."""

from __future__ import annotations

import random

from siplab.experiments.trial.stage import DOMAIN, Stage
from siplab.lab.sip.base import Action, Agent, Listen, Send
from siplab.lab.wire.ip import Endpoint

_TRIES = 4  # at 0, 0.5, 1.5 and 3.5 s


class Asker(Agent):
    """Sends ``request`` until something comes back: ``answer``, ``None`` before."""

    def __init__(self, local: Endpoint, server: Endpoint, rng: random.Random) -> None:
        super().__init__()
        self.local = local
        self.request = register(local, rng)
        self.answer: bytes | None = None
        self._server = server
        self._next: float | None = None
        self._try = 0

    @property
    def done(self) -> bool:
        return self.answer is not None or self._next is None

    def start(self, now: float) -> list[Action]:
        self._next = now
        return [Listen(self.local)]

    def next_timer(self) -> float | None:
        return self._next

    def on_timer(self, now: float) -> list[Action]:
        if self._try >= _TRIES:
            self._next = None
            return []
        self._try += 1
        self._next = now + 0.5 * 2 ** (self._try - 1)
        return [Send(self.local, self._server, self.request)]

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        if self.answer is None:
            self.answer, self._next = payload, None
        return []


class Echo(Agent):
    """Sends every datagram back as it came, readable by any router on the way."""

    def __init__(self, local: Endpoint) -> None:
        super().__init__()
        self._local = local

    def start(self, now: float) -> list[Action]:
        return [Listen(self._local)]

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        return [Send(local, source, payload)]


def register(local: Endpoint, rng: random.Random) -> bytes:
    """A REGISTER as a phone at ``local`` writes it."""
    here, domain = str(local).encode(), DOMAIN.encode()
    return (
        b"REGISTER sip:%s SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP %s;rport;branch=z9hG4bK%016x\r\n"
        b"Max-Forwards: 70\r\n"
        b"From: <sip:probe@%s>;tag=%08x\r\n"
        b"To: <sip:probe@%s>\r\n"
        b"Call-ID: %016x@%s\r\n"
        b"CSeq: 1 REGISTER\r\n"
        b"Contact: <sip:probe@%s>\r\n"
        b"Content-Length: 0\r\n\r\n"
    ) % (
        domain,
        here,
        rng.getrandbits(64),
        domain,
        rng.getrandbits(32),
        domain,
        rng.getrandbits(64),
        here.rpartition(b":")[0],
        here,
    )


def ask(stage: Stage, *, mirror: bool = False) -> Asker:
    """Have the exchange, with an echo on the server's host, or with the lab's mirror there."""
    host, address = stage.host("server")
    server = Endpoint(address, stage.setup.sip_port)
    if mirror:
        server = stage.mirror()
    else:
        stage.world.add(host, Echo(server))
    phone, local = stage.host("phone")
    asker = Asker(Endpoint(local, 5060), server, stage.rng("asker"))
    stage.world.add(phone, asker)
    stage.until(lambda: asker.done, 10.0)
    return asker
