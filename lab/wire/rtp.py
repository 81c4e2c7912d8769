"""RTP packets (RFC 3550 section 5.1): the fixed header, packed and unpacked."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

PCMU: Final = 0  # static payload types (RFC 3551 section 6)
PCMA: Final = 8
# Their names. All have a clock of 8000 Hz, G722 too (RFC 3551 section 4.5.2).
STATIC_AUDIO: Final = {
    PCMU: b"PCMU",
    3: b"GSM",
    4: b"G723",
    PCMA: b"PCMA",
    9: b"G722",
    15: b"G728",
    18: b"G729",
}
TELEPHONE_EVENT: Final = 101  # dynamic; the usual number (RFC 4733)
VIDEO: Final = 96  # dynamic; the usual number

_RTP: Final = struct.Struct("!BBHII")


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

    Payload types 64 to 95 give ``None`` too: on a port shared with RTCP they are RTCP (RFC 5761 section 4).
    """
    if len(data) < 12 or data[0] & 0xC0 != 0x80 or 64 <= data[1] & 0x7F <= 95:
        return None
    _, second, sequence, timestamp, ssrc = _RTP.unpack_from(data)
    return RtpHeader(second & 0x7F, second > 0x7F, sequence, timestamp, ssrc)
