"""Reads from a capture of one side of a router what kind of router it may be. That never gives a model.

The rules of this file:

- Inside, responses show what the server received: they repeat the Via, From and Call-ID that reached it, and
  ``received`` names the source address if it is not the Via's (RFC 3261 section 18.2.1).
- Outside, the requests themselves show which addresses they contain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from siplab.experiments.captures.reading import Capture, Datagram
from siplab.lab.wire.headers import has_address, uris, vias
from siplab.lab.wire.ip import is_address, is_private
from siplab.lab.wire.sip import SipMessage

_AGAIN: Final = 3


class Family(StrEnum):
    """What kind of router it may be."""

    UNTOUCHED = "untouched"
    TRANSLATES = "translates"
    HALF_TRANSLATES = "half-translates"
    SWALLOWS = "swallows"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class OneSided:
    """The family, whether the capture was made inside, and how many messages it has."""

    family: Family
    inside: bool
    messages: int


def has_inside(capture: Capture) -> bool:
    """Whether the capture was made behind a NAT: one of a message's two hosts has a private address."""
    return any(is_private(each.source.ip) or is_private(each.destination.ip) for each in capture.messages)


def look(capture: Capture) -> OneSided:
    """The family of router that one capture shows."""
    inside = has_inside(capture)
    family = _from_inside(capture.messages) if inside else _from_outside(capture.messages)
    return OneSided(family, inside, len(capture.messages))


def _from_inside(messages: Sequence[Datagram]) -> Family:
    requests: dict[bytes, list[Datagram]] = {}
    signs: set[Family] = set()
    answered: set[bytes] = set()
    for each in messages:
        message = SipMessage.parse(each.payload)
        if message.is_request and is_private(each.source.ip):
            requests.setdefault(each.payload, []).append(each)
        elif message.is_response and is_private(each.destination.ip):
            via = next(iter(vias(message.value(b"via"))), None)
            sent = next((rows[0] for payload, rows in requests.items() if _answers(payload, message)), None)
            if via is None or sent is None:
                continue
            answered.add(sent.payload)
            signs.add(_of_answer(message, sent, via.parameters.get(b"received", b"").decode("latin-1")))
    if Family.TRANSLATES in signs:
        return Family.TRANSLATES
    silent = [rows for payload, rows in requests.items() if payload not in answered]
    if answered and any(len(rows) >= _AGAIN for rows in silent):
        return Family.SWALLOWS
    return Family.UNTOUCHED if Family.UNTOUCHED in signs else Family.UNKNOWN


def _answers(payload: bytes, response: SipMessage) -> bool:
    request = SipMessage.parse(payload)
    names = (b"cseq", b"call-id")
    return all(request.value(name).strip() == response.value(name).strip() for name in names)


def _of_answer(response: SipMessage, sent: Datagram, received: str) -> Family:
    """What a response says about the request that reached the server."""
    if received and is_address(received) and not is_private(received):
        return Family.UNTOUCHED  # the Via still had the private address when it reached the server
    request = SipMessage.parse(sent.payload)
    via = next(iter(vias(request.value(b"via"))), None)
    private = via is not None and _private(via.sent_by.bare_host.decode("latin-1"))
    return Family.TRANSLATES if private else Family.UNKNOWN


def _private(host: str) -> bool:
    return is_address(host) and is_private(host)


def _from_outside(messages: Sequence[Datagram]) -> Family:
    public = private = False
    for each in messages:
        message = SipMessage.parse(each.payload)
        if not message.is_request:
            continue
        hosts = [via.sent_by.bare_host for via in vias(message.value(b"via"))[:1]]
        hosts += [uri.bare_host for uri in uris(message.value(b"contact"))]
        if message.body.startswith(b"v="):
            lines = [
                line for line in message.body.splitlines() if line.startswith(b"c=") and has_address(line)
            ]
            hosts += [line.split()[-1] for line in lines]
        if not any(_private(host.decode("latin-1")) for host in hosts):
            public = public or any(host == each.source.ip.encode() for host in hosts)
            continue
        private = True
        public = public or any(host == each.source.ip.encode() for host in hosts)
    if private:
        return Family.HALF_TRANSLATES if public else Family.UNTOUCHED
    return Family.TRANSLATES if public else Family.UNKNOWN


_SAID: Final = {
    Family.UNTOUCHED: "Addresses in messages get through as the phone wrote them: no sign of an ALG "
    "on this side.",
    Family.TRANSLATES: "Addresses in messages are translated on the way: an ALG, or a phone that knows its "
    "public address (STUN).",
    Family.HALF_TRANSLATES: "Some addresses in messages are translated and others are not: an ALG that "
    "does half.",
    Family.SWALLOWS: "Some requests are sent again and again without an answer, while others are answered: "
    "they may be swallowed on the way.",
    Family.UNKNOWN: "This side alone says nothing of what is done to messages.",
}


def sentences(found: OneSided) -> list[str]:
    """What the capture shows, and what to capture next."""
    here, there = ("inside", "outside") if found.inside else ("outside", "inside")
    return [
        _SAID[found.family],
        f"This is a capture made {here}, of {found.messages} messages. Capture the same calls {there} as "
        "well: two sides tell what was changed, and which router does that.",
    ]
