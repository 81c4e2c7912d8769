"""What one side of a call sends on one stream: RTP (RFC 3550), or UDPTL for a fax (T.38).

The rules of this file:

- A sender is a ``Flow`` (see ``lab.sip.base``): one packet each interval. Packet ``n`` of a flow can be
  computed from its number, so a world that knows the fate of a stretch need not carry all of it.
- Sequence numbers count packets, timestamps follow the clock: a pause shows in the timestamps only
  (RFC 3550 section 5.1).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from siplab.lab.media.audio import SAMPLES, SILENCE, Signal
from siplab.lab.media.session import Kind
from siplab.lab.sip.base import Train
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.rtp import RtpHeader, pack_rtp

PACKET_TIME: Final = 0.02  # seconds of audio in one packet


@dataclass(frozen=True)
class Pace:
    """How a kind of stream is cut into packets: seconds and timestamp units from one to the next."""

    interval: float
    step: int


PACES: Final[dict[Kind, Pace]] = {
    "audio": Pace(PACKET_TIME, SAMPLES),
    "video": Pace(0.04, 3600),  # 25 frames per second of a 90 kHz clock
    "image": Pace(0.04, 1),
}
_PICTURE: Final = b"\x65" + bytes(range(256)) * 2  # a still picture, which nobody decodes


@dataclass
class Spoken:
    """Packets without a pause: when the first was due in seconds, its number, how many."""

    begin: float
    first: int
    packets: int = 0


class RtpSender:
    """One stream of one call, to ``peer``; ``None``: nothing is sent. ``limit``: packets after which it ends.

    ``remote``: where its packets go: to ``peer``, or to a relay on the way. ``sent`` counts packets;
    ``spoken``: when which packets were sent.
    """

    def __init__(
        self,
        kind: Kind,
        local: Endpoint,
        rng: random.Random,
        *,
        signal: Signal = SILENCE,
        limit: int | None = None,
    ) -> None:
        self.kind = kind
        self.local = local
        self.peer: Endpoint | None = None
        self.remote: Endpoint | None = None
        self.signal = signal
        self.payload_type = 0
        self.sent = 0
        self.next_due: float | None = None
        self.interval = PACES[kind].interval
        self.live: Callable[[int, float], bytes] | None = None
        """Gives the sound of a packet, by its number and the time, instead of ``signal``."""
        self.sealed: Callable[[bytes, int], bytes] | None = None
        """Encrypts a packet; the second argument is its extended sequence number."""
        self.framed: Callable[[bytes], bytes] | None = None
        """Wraps a packet as a relay wants it."""
        self.ssrc = rng.getrandbits(32)
        self._sequence = rng.getrandbits(16)  # counts on beyond 16 bits (RFC 3711 section 3.3.1)
        self._others = [0, 0]  # how many other packets went between those of the flow, and their octets
        self._timestamp = rng.getrandbits(32)
        self._limit = limit
        self._muted = False
        self._marker = True  # the first packet after silence has it (RFC 3551 section 4.1)
        self._stopped_at: float | None = None
        self.spoken: list[Spoken] = []
        self._began = 0.0  # when sending without a pause began
        self._index = 0  # of the next packet since then

    @property
    def steady(self) -> bool:
        """Whether the content of a packet follows from its number alone."""
        return self.live is None

    @property
    def left(self) -> int | None:
        """Packets until the limit."""
        return None if self._limit is None else max(0, self._limit - self.sent)

    def mute(self, muted: bool, now: float) -> None:
        """Stop sending, or send again."""
        self._muted = muted
        self._go_on(now)

    def direct(
        self,
        peer: Endpoint | None,
        now: float,
        relay: Endpoint | None = None,
        framed: Callable[[bytes], bytes] | None = None,
    ) -> None:
        """Send to ``peer`` from now on, or nowhere; through a ``relay`` if given, with packets ``framed``."""
        self.peer, self.remote, self.framed = peer, peer if relay is None else relay, framed
        self._go_on(now)

    def _go_on(self, now: float) -> None:
        remote = self.remote
        if remote is None or self._muted or self.left == 0:
            if self.next_due is not None:
                self._stopped_at, self.next_due = self.next_due, None
        elif self.next_due is None:
            if self._stopped_at is not None:  # the clock went on meanwhile
                missed = max(0, round((now - self._stopped_at) / self.interval))
                self._timestamp = (self._timestamp + missed * PACES[self.kind].step) & 0xFFFFFFFF
            self.next_due, self._marker = now, True
            self._began, self._index = now, 0
            self.spoken.append(Spoken(now, self.sent))

    def stop(self) -> None:
        """Stop sending for good."""
        self.peer = self.remote = self.next_due = None

    # -- the flow ------------------------------------------------------------------------------

    def dues(self, count: int) -> list[float]:
        """When the next ``count`` packets are due, in seconds."""
        began, interval = self._began, self.interval
        return [began + number * interval for number in range(self._index, self._index + count)]

    def take(self) -> bytes:
        """The packet that is due; the next one becomes due then."""
        packet = self._packet()
        self._advance(1)
        return packet

    def skip(self, count: int) -> Train:
        """Skip ``count`` packets without sending them; returns them as a train."""
        due, encrypted = self.next_due or 0.0, self.sealed is not None
        header = self._header()
        train = Train(self, self.sent, count, due, self.interval, header, self.content, encrypted)
        self._advance(count)
        return train

    def frame(self, number: int) -> bytes:
        """The payload of packet ``number`` of this stream."""
        if self.kind == "audio":
            return self.signal.frame(number)
        return _PICTURE

    @property
    def content(self) -> str:
        """The name of the signal, or the kind of stream."""
        return self.signal.name if self.kind == "audio" else self.kind

    # -- other packets of the stream -------------------------------------------------------------

    def event(self, payload_type: int, payload: bytes, *, marker: bool, timestamp: int | None) -> bytes:
        """A packet of another payload type between the others (RFC 4733 section 2.5.1)."""
        at = self._timestamp if timestamp is None else timestamp
        header = RtpHeader(payload_type, marker, self._sequence & 0xFFFF, at, self.ssrc)
        packet = self._wire(pack_rtp(header, payload))
        self._sequence += 1
        self._others[0] += 1
        self._others[1] += len(payload)
        return packet

    @property
    def timestamp(self) -> int:
        """The timestamp of the next packet."""
        return self._timestamp

    # -- what reports say (RFC 3550 section 6.4.1) -------------------------------------------------

    @property
    def packets(self) -> int:
        """All packets sent."""
        return self.sent + self._others[0]

    @property
    def octets(self) -> int:
        """Bytes of payload in them."""
        return self.sent * len(self.frame(0)) + self._others[1]

    def timestamp_at(self, now: float) -> int:
        """The timestamp at ``now``, which is in seconds."""
        pace, at = PACES[self.kind], self.next_due if self.next_due is not None else self._stopped_at
        away = 0.0 if at is None else (now - at) / pace.interval
        return (self._timestamp + round(away * pace.step)) & 0xFFFFFFFF

    # -- parts -----------------------------------------------------------------------------------

    def _header(self) -> RtpHeader:
        sequence = self._sequence & 0xFFFF
        return RtpHeader(self.payload_type, self._marker, sequence, self._timestamp, self.ssrc)

    def _wire(self, packet: bytes) -> bytes:
        packet = packet if self.sealed is None else self.sealed(packet, self._sequence)
        return packet if self.framed is None else self.framed(packet)

    def _packet(self) -> bytes:
        if self.kind == "image":  # UDPTL: a sequence number, one IFP packet, no redundancy
            packet = (self._sequence & 0xFFFF).to_bytes(2, "big") + b"\x01\x06\x00\x00"
            return packet if self.framed is None else self.framed(packet)
        if self.live is not None:
            return self._wire(pack_rtp(self._header(), self.live(self.sent, self.next_due or 0.0)))
        return self._wire(pack_rtp(self._header(), self.frame(self.sent)))

    def _advance(self, count: int) -> None:
        self._sequence += count
        self._timestamp = (self._timestamp + count * PACES[self.kind].step) & 0xFFFFFFFF
        self._marker = False
        self.sent += count
        if self.spoken:
            self.spoken[-1].packets += count
        if self.next_due is not None:
            # Multiplied, not summed up: a sum would differ when packets are skipped.
            self._index += count
            self.next_due = None if self.left == 0 else self._began + self._index * self.interval
