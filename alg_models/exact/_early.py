"""What the kernel's first ALGs have in common: they read a datagram as text, with one media address in it.

They look for field names in the whole datagram, in the letter case of their source, or in compact form after
a CRLF. The first match counts. They expect RTP, not RTCP, and only from the signalling peer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from siplab.alg_models.exact._text import find, mark, number
from siplab.lab.gateway.binding import Pinhole
from siplab.lab.gateway.context import Context
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

SIP_TIMEOUT: Final = 3600.0  # seconds, from each packet of the flow
FIRST_PORT: Final = 1024
VIA: Final = mark(rb"Via:|\r\nv:", rb"(?i:udp )")
CONTACT: Final = mark(rb"Contact:|\r\nm:", rb"(?i:sip:)")
LENGTH: Final = mark(rb"Content-Length:|\r\nl:")
ORIGIN: Final = mark(rb"[\r\n]o=", rb"IN IP4 ")
CONNECTION: Final = mark(rb"[\r\n]c=", rb"IN IP4 ")
AUDIO: Final = mark(rb"[\r\n]m=audio ")
_DESCRIPTION: Final = re.compile(rb"[\r\n]v=")
_ADDRESS: Final = re.compile(rb"((?:\d{1,3}\.){3}\d{1,3})(?:(:)(\d*))?")
_EXPECTED: Final = 180.0  # seconds that an expectation waits for its flow
_FLOWS: Final = 4096  # entries; packets make them, so there must be a bound

POLICY: Final = {
    "non_sip": "inspect",
    "transports": frozenset({"udp"}),
    "fragments": "unprocessed",
    "refresh": "both",
    "signalling_timeout": SIP_TIMEOUT,
}


@dataclass
class Flow:
    """A signalling flow: which side opened it, and its expectations, the oldest first."""

    first_outbound: bool
    expected: list[Pinhole] = field(default_factory=list)


@dataclass
class Flows:
    """The signalling flows of a router."""

    _all: dict[tuple[Endpoint, Endpoint], Flow] = field(default_factory=dict)

    def of(self, context: Context) -> Flow:
        key = (context.inside, context.remote)
        found = self._all.get(key)
        if found is None:
            if len(self._all) >= _FLOWS:
                del self._all[next(iter(self._all))]
            found = self._all[key] = Flow(context.outbound)
        return found


@dataclass(frozen=True)
class Address:
    """An IPv4 literal, with or without a port, and where it stands."""

    ip: str
    start: int
    end: int
    written: bytes


def address(text: bytes, at: int) -> Address | None:
    """The literal at ``at``, and the port that is written behind it."""
    found = _ADDRESS.match(text, at)
    if found is None or max(map(int, found[1].split(b"."))) > 255:
        return None
    return Address(found[1].decode(), found.start(), found.end(), found[0])


def put(text: bytes, place: Address, new: bytes) -> bytes:
    return text[: place.start] + new + text[place.end :]


def become(message: SipMessage, text: bytes) -> None:
    """Replace the contents of ``message`` by ``text``."""
    if text != bytes(message):
        message.become(text)


def media_port(text: bytes, context: Context) -> int | None:
    """The port of the first m=audio. A port below 1024, 0 included, drops the packet."""
    at = find(AUDIO, text)
    port = number(text, at) if at >= 0 else None
    if port is None:
        return None
    if port.value < FIRST_PORT:
        context.drop(f"m=audio has port {port.value}")
    return port.value


def expect(flow: Flow, media: Endpoint, most: int, context: Context) -> int:
    """Expect RTP from the signalling peer at the first free port from that of ``media`` on; returns the port.

    ``most``: how many expectations a flow may have; a new one ends the oldest.
    """
    for port in range(media.port, 65536):
        pinhole = context.expect(media, port, context.remote.ip, _EXPECTED)
        if pinhole is not None:
            mine = [each for each in flow.expected if each.binding is not pinhole.binding]
            while len(mine) >= most:
                context.nat.close(mine.pop(0))
            flow.expected = [*mine, pinhole]
            return port
        if not context.is_inside(media.ip):
            return port  # not an inside host: nothing can be expected for it
    context.drop("all ports in use for media")
    return 0


def write_description(text: bytes, ip: str, port: int, context: Context) -> bytes:
    """Write o=, the first c=, m=audio and Content-Length. A packet without one of them is dropped."""
    for sign in (ORIGIN, CONNECTION):
        at = find(sign, text)
        place = address(text, at) if at >= 0 else None
        if place is None:
            context.drop("o= or c= has no address")
            return text
        text = put(text, Address(place.ip, place.start, place.start + len(place.ip), b""), ip.encode())
    at = find(AUDIO, text)
    found = number(text, at) if at >= 0 else None
    if found is None:
        context.drop("no m=audio to write")
        return text
    text = text[: found.start] + b"%d" % port + text[found.end :]
    return fit_length(text, context)


def fit_length(text: bytes, context: Context) -> bytes:
    """Set Content-Length to the number of bytes from v= to the end."""
    at = find(LENGTH, text)
    length = number(text, at) if at >= 0 else None
    version = _DESCRIPTION.search(text)
    if length is None or version is None:
        context.drop("no Content-Length, or no v=, to count from")
        return text
    size = len(text) - version.start() - 1
    # The number stands before the description, so a change of its length does not change the size.
    return text[: length.start] + b"%d" % size + text[length.end :]
