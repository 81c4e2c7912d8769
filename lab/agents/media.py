"""Media of a call: what the SDP says (RFC 8866, RFC 3264) and the RTP that follows it (RFC 3550).

The rules of this file:

- One audio stream of PCMU, telephone-event beside it; what else an offer has is refused with port 0.
- A description whose address or port nobody could send to is an error with a sentence
  (``MediaError``), never a guess.
"""

from __future__ import annotations

import random
import struct
from typing import Final, NamedTuple

from lab.agents.messages import address_text
from lab.wire.ip import Endpoint
from lab.wire.sdp import Sdp, Section, address_of

PCMU: Final = 0  # static payload type (RFC 3551 section 6)
TELEPHONE_EVENT: Final = 101  # dynamic, by habit (RFC 4733)
PACKET_TIME: Final = 0.02  # seconds of audio in one packet
SAMPLES: Final = 160  # in one packet: 20 ms at 8000 Hz

_RTP: Final = struct.Struct("!BBHII")
_SILENCE: Final = b"\xff" * SAMPLES  # PCMU's zero
_ON_HOLD: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104  # RFC 3264 section 8.4, not a socket


class MediaError(ValueError):
    """A session description that can't be used; the text says why."""


class Media(NamedTuple):
    """What the other side's description asks for.

    ``remote`` is ``None`` when it wants nothing sent (on hold). ``telephone_event`` is
    its payload type for that, ``None`` without. ``kinds`` are the ``m=`` lines' values, in order, and
    ``audio`` the index of ours among them.
    """

    remote: Endpoint | None
    telephone_event: int | None
    kinds: list[bytes]
    audio: int


def read(body: bytes) -> Media:
    """Read an offer or an answer. Raises ``MediaError`` when no audio can come of it."""
    sdp = Sdp.parse(body)
    kinds = [section.media.value for section in sdp.media if section.media is not None]
    for at, section in enumerate(sdp.media):
        words = kinds[at].split()
        if len(words) < 4 or words[0] != b"audio" or words[2] != b"RTP/AVP" or section.port == 0:
            continue
        if b"0" not in words[3:]:
            raise MediaError("the audio stream has no PCMU (payload type 0)")
        return Media(_remote(sdp, section), _telephone_event(section, words[3:]), kinds, at)
    raise MediaError("no RTP audio stream with a port other than 0")


def _remote(sdp: Sdp, section: Section) -> Endpoint | None:
    address = address_of(sdp.connection(section))
    ip = address_text(address)
    if ip is None:
        raise MediaError(f"c= has no usable address: {address.decode('utf-8', 'backslashreplace')!r}")
    port = section.port
    if port is None or not 0 < port < 65536:
        raise MediaError(f"m= has no usable port: {port}")
    return None if ip in _ON_HOLD else Endpoint(ip, port)


def _telephone_event(section: Section, formats: list[bytes]) -> int | None:
    for line in section.attributes(b"rtpmap"):
        number, _, encoding = line.value[7:].partition(b" ")
        if encoding.lower().startswith(b"telephone-event/8000") and number in formats and number.isdigit():
            return int(number[:3])
    return None


def describe(user: str, local: Endpoint, session: int, offer: Media | None = None) -> bytes:
    """Our session description: an offer, or the answer to ``offer`` (RFC 3264 section 6).

    ``session`` is the number in ``o=``.
    """
    kind = b"IP6" if ":" in local.ip else b"IP4"
    ip = local.ip.encode()
    head = b"v=0\r\no=%b %d %d IN %b %b\r\ns=-\r\nc=IN %b %b\r\nt=0 0\r\n" % (
        user.encode(),
        session,
        session,
        kind,
        ip,
        kind,
        ip,
    )
    if offer is None:
        return head + _audio(local.port, TELEPHONE_EVENT)
    parts = [head]
    for at, media in enumerate(offer.kinds):
        if at == offer.audio:
            parts.append(_audio(local.port, offer.telephone_event))
        else:
            words = media.split()
            # RFC 3264 section 6: a refused stream keeps its place, with port 0 and any of its formats.
            parts.append(b"m=" + b" ".join([words[0] if words else b"audio", b"0", *words[2:]]) + b"\r\n")
    return b"".join(parts)


def _audio(port: int, event: int | None) -> bytes:
    if event is None:
        head = b"m=audio %d RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n" % port
    else:
        head = (
            b"m=audio %d RTP/AVP 0 %d\r\na=rtpmap:0 PCMU/8000\r\n"
            b"a=rtpmap:%d telephone-event/8000\r\na=fmtp:%d 0-16\r\n" % (port, event, event, event)
        )
    return head + b"a=ptime:20\r\na=sendrecv\r\n"


class RtpHeader(NamedTuple):
    """The fixed RTP header (RFC 3550 section 5.1)."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int


def pack_rtp(header: RtpHeader, payload: bytes) -> bytes:
    """An RTP packet without CSRCs and extension."""
    second = header.payload_type | (0x80 if header.marker else 0)
    return _RTP.pack(0x80, second, header.sequence, header.timestamp, header.ssrc) + payload


def unpack_rtp(data: bytes) -> RtpHeader | None:
    """The header of an RTP packet; ``None`` for bytes that are no RTP version 2.

    Payload types 64 to 95 are left out: on a port shared with RTCP they are its (RFC 5761 section 4).
    """
    if len(data) < 12 or data[0] & 0xC0 != 0x80 or 64 <= data[1] & 0x7F <= 95:
        return None
    _, second, sequence, timestamp, ssrc = _RTP.unpack_from(data)
    return RtpHeader(second & 0x7F, second > 0x7F, sequence, timestamp, ssrc)


class RtpStream:
    """The packets that one side sends: PCMU silence, starting values from the generator (section 5.1)."""

    __slots__ = ("_sequence", "_ssrc", "_timestamp", "sent")

    def __init__(self, rng: random.Random) -> None:
        self._ssrc = rng.getrandbits(32)
        self._sequence = rng.getrandbits(16)
        self._timestamp = rng.getrandbits(32)
        self.sent = 0

    def packet(self) -> bytes:
        """The next packet of 160 bytes of audio; the first has the marker (RFC 3551 section 4.1)."""
        header = RtpHeader(PCMU, self.sent == 0, self._sequence, self._timestamp, self._ssrc)
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._timestamp = (self._timestamp + SAMPLES) & 0xFFFFFFFF
        self.sent += 1
        return pack_rtp(header, _SILENCE)
