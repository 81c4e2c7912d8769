"""The RTP that one side of a call sends (RFC 3550)."""

from __future__ import annotations

import random
from typing import Final

from lab.wire.rtp import PCMU, RtpHeader, pack_rtp

PACKET_TIME: Final = 0.02  # seconds of audio in one packet
SAMPLES: Final = 160  # in one packet: 20 ms at 8000 Hz

_SILENCE: Final = b"\xff" * SAMPLES  # PCMU's zero


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
