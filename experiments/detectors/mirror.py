"""Send a request to a server that returns it encoded, and compare.

The client sends a REGISTER and an INVITE with a session description; the mirror server returns
each as it arrived, in Base64, so that an ALG on the way back does not recognise what it would
change. Any difference means that something on the way rewrote the request. What it can't see: changes
to answers, or to requests towards the phone; and faults that change no byte of these two.
"""

from __future__ import annotations

import base64
import binascii
import random
from dataclasses import dataclass
from typing import Final

from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import DOMAIN, PHONE_RTP_PORT, Finding, Stage
from siplab.lab.sip.base import Action, Agent, Listen, Send
from siplab.lab.wire.compare import differences
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

T1: Final = 0.5
_TRIES: Final = 4  # at 0, 0.5, 1.5 and 3.5 s


class MirrorClient(Agent):
    """Sends the probes, each again until its mirror image is back or the tries are used up."""

    def __init__(self, local: Endpoint, server: Endpoint, rng: random.Random) -> None:
        super().__init__()
        self.local = local
        self._server = server
        self.probes = {method: _probe(method, local, rng) for method in (b"REGISTER", b"INVITE")}
        self.images: dict[bytes, bytes] = {}
        self._next: float | None = None
        self._try = 0

    @property
    def done(self) -> bool:
        return len(self.images) == len(self.probes) or self._try >= _TRIES

    def start(self, now: float) -> list[Action]:
        self._next = now
        return [Listen(self.local)]

    def next_timer(self) -> float | None:
        return self._next

    def on_timer(self, now: float) -> list[Action]:
        if self.done:
            self._next = None
            return []
        self._try += 1
        self._next = now + T1 * 2 ** (self._try - 1)
        return [
            Send(self.local, self._server, probe)
            for method, probe in self.probes.items()
            if method not in self.images
        ]

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        message = SipMessage.parse(payload)
        if b"siplab-mirror" not in message.value(b"server"):
            return []
        try:
            image = base64.b64decode(b"".join(message.body.split()), validate=True)
        except (binascii.Error, ValueError):
            return []
        # Which probe it is: what an ALG may do to an answer's CSeq must not confuse this.
        for method in self.probes:
            if image.lstrip(b"\r\n").startswith(method):
                self.images.setdefault(method, image)
        if self.done:
            self._next = None
        return []


def _probe(method: bytes, local: Endpoint, rng: random.Random) -> bytes:
    address, domain = str(local).encode(), DOMAIN.encode()
    body = b""
    if method == b"INVITE":
        body = b"v=0\r\no=probe %d 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %d RTP/AVP 0\r\n" % (
            rng.getrandbits(31),
            local.ip.encode(),
            local.ip.encode(),
            PHONE_RTP_PORT,
        )
    lines = [
        b"%s sip:probe@%s SIP/2.0" % (method, domain),
        b"Via: SIP/2.0/UDP %s;rport;branch=z9hG4bK%016x" % (address, rng.getrandbits(64)),
        b"Max-Forwards: 70",
        b"From: <sip:probe@%s>;tag=%08x" % (domain, rng.getrandbits(32)),
        b"To: <sip:probe@%s>" % domain,
        b"Call-ID: %016x@%s" % (rng.getrandbits(64), local.ip.encode()),
        b"CSeq: 1 " + method,
        b"Contact: <sip:probe@%s>" % address,
        b"User-Agent: siplab-mirror-client",
    ]
    if body:
        lines.append(b"Content-Type: application/sdp")
    lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@dataclass(frozen=True)
class Mirror:
    """Probe a mirror server in the registrar's place, on the port that phones use."""

    def run(self, stage: Stage) -> Finding:
        server = stage.mirror()
        host, address = stage.host("phone")
        client = MirrorClient(Endpoint(address, 5060), server, stage.rng("mirror-client"))
        stage.world.add(host, client)
        stage.until(lambda: client.done, 10.0)
        changed: dict[str, None] = {}
        evidence: list[str] = []
        for method, image in client.images.items():
            names = differences(client.probes[method], image)
            changed |= dict.fromkeys(names)
            if names:
                evidence.append(f"{method.decode()} arrived with other bytes: {', '.join(names)}")
        if changed:
            return Finding("alg", tuple(changed), evidence[0], evidence=tuple(evidence))
        missing = [method.decode() for method in client.probes if method not in client.images]
        if missing:
            return Finding("undecided", detail=f"no mirror image of {' and '.join(missing)}")
        return Finding("clean")


ITEM = Item("mirror", "Compares requests with their encoded image from a mirror server.", Mirror())
