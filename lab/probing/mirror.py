"""A mirror: shows a client its own request as it arrived, so that the client sees what was changed.

The rules of this file:

- The body of the answer is the Base64 of the exact datagram, in which no router on the way back recognises an
  address.
- The answer goes to the source of the datagram, whatever its Via says. Malformed requests are answered too: a
  mirror exists for them.
- It has no state and no randomness: the same datagram gets the same answer.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from typing import Final

from siplab.lab.counting import number_of
from siplab.lab.sip.base import Action, Agent, Listen, Send
from siplab.lab.sip.events import EventKind, Facts
from siplab.lab.sip.messages import Incoming, response
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

# Base64 makes four bytes of three, so the answer to a longer request does not fit into a datagram.
_LONGEST: Final = 45_000
_HEADERS: Final = b"Server: siplab-mirror\r\nContent-Type: application/base64\r\n"


class MirrorServer(Agent):
    """Answers every SIP request but ACK with ``200 OK`` and its mirror image."""

    def __init__(self, ip: str, ports: Sequence[int] = (5060,)) -> None:
        super().__init__()
        self._locals = [Endpoint(ip, port) for port in ports]

    def start(self, now: float) -> list[Action]:
        return [Listen(local) for local in self._locals]

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        incoming = Incoming(SipMessage.parse(payload), source, local)
        if incoming.status or not incoming.method:
            return []
        method = incoming.method.decode("ascii", "backslashreplace")
        if method == "ACK" or len(payload) > _LONGEST:
            facts = Facts(method=method, remote=source)
            self.note(now, EventKind.IGNORED, f"{method} of {number_of(len(payload), 'byte')}", facts)
            return []
        incoming.stamp_via()
        wire = response(
            incoming,
            200,
            to_tag=b"%08x" % zlib.crc32(payload),
            headers=_HEADERS,
            body=base64.b64encode(payload),
        )
        self.note(now, EventKind.MIRRORED, f"{method} from {source}", Facts(method=method, remote=source))
        return [Send(local, source, wire)]
