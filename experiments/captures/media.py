"""Media in captures: the RTP streams that are there, and the endpoints that SDP announces."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from siplab.experiments.captures.reading import Captured
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.rtp import unpack_rtp
from siplab.lab.wire.sdp import Sdp, address_of
from siplab.lab.wire.sip import SipMessage

_FEWEST = 5  # packets of one source; fewer are no stream


@dataclass
class Stream:
    """RTP of one source (SSRC) between two endpoints."""

    source: Endpoint
    destination: Endpoint
    ssrc: int
    payload_type: int
    packets: int
    first: float
    last: float


def streams(packets: Iterable[Captured]) -> list[Stream]:
    """The streams, in the order in which they begin. Only RTP headers are read."""
    found: dict[tuple[bytes, int], Stream] = {}
    for now, _, data in packets:
        if data[0] != 0x45 or data[9] != ip.UDP:
            continue
        header = unpack_rtp(data[28:40])
        if header is None:
            continue
        stream = found.get((data[12:24], header.ssrc))
        if stream is None:
            packet = ip.parse(data)
            found[data[12:24], header.ssrc] = Stream(
                packet.source, packet.destination, header.ssrc, header.payload_type, 1, now, now
            )
        else:
            stream.packets += 1
            stream.last = now
    return [each for each in found.values() if each.packets >= _FEWEST]


class Announced(NamedTuple):
    """Where SDP says that media are expected; ``media``: ``audio``, ``video``..."""

    media: str
    address: str
    port: int


def announced(payload: bytes) -> list[Announced]:
    """The media endpoints in a message's SDP, without streams that are switched off."""
    body = SipMessage.parse(payload).body
    if not body.startswith(b"v="):
        return []
    description = Sdp.parse(body)
    found = []
    for section in description.media:
        name = (section.media.value.split() or [b""])[0] if section.media is not None else b""
        address = address_of(description.connection(section)).decode("ascii", "backslashreplace")
        if section.port:
            found.append(Announced(name.decode("ascii", "backslashreplace"), address, section.port))
    return found
