"""Finds out what a real phone heard, by tones in the files that it records, while they grow.

Each phone of the lab sends a tone of its own. A frame of 20 ms in which another phone's tone is loud counts
as heard, at the time at which it was written. If a phone records nothing, what arrives at its host counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from struct import unpack
from typing import Final

from siplab.experiments.programs.endpoints.rtpengine import RelayCounters
from siplab.lab.media.audio import SAMPLES, strength
from siplab.lab.media.rtp_receiver import RtpReceiver
from siplab.lab.media.speech import RATE
from siplab.lab.wire import g711
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.rtp import PCMU, unpack_rtp
from siplab.lab.worlds.trace import Received, Trace

_HEADER: Final = 44  # bytes of a plain WAV header
_LOUD: Final = 0.5  # the tone's share of the whole sound
_SECONDS: Final = 0.02
# Bytes that SRTP adds: HMAC_SHA1_32, HMAC_SHA1_80 (RFC 4568 section 6.2), AEAD_AES_GCM (RFC 7714).
_TAGS: Final = frozenset({4, 10, 16})
# Seconds. Programs share the machine with others and pause at times. A shorter gap is not the router's fault.
_SILENCE: Final = 1.0
_NOWHERE: Final = Endpoint("", 0)


class Ear:
    """What one phone hears of others. ``tones``: their frequencies in Hz."""

    def __init__(self, tones: Sequence[int]) -> None:
        self.heard = RtpReceiver(_SILENCE)
        self._tones = tones

    def frames(self, frames: Iterable[Sequence[int]], since: float, now: float) -> None:
        """Take samples that came between two times, frame by frame."""
        row = list(frames)
        begin = max(since, now - len(row) * _SECONDS)
        for number, samples in enumerate(row, 1):
            if any(strength(samples, tone) > _LOUD for tone in self._tones):
                at = begin + (now - begin) * number / len(row)
                self.heard.packet(None, b"", _NOWHERE, at)

    def sealed(self, at: float) -> None:
        """Take an encrypted frame. All that can be known is that somebody speaks."""
        self.heard.packet(None, b"", _NOWHERE, at)


class Files:
    """The recordings in a folder that match ``pattern``, also new ones."""

    def __init__(self, folder: Path, pattern: str, ear: Ear) -> None:
        self._folder, self._pattern, self._ear = folder, pattern, ear
        self._read: dict[Path, int] = {}
        self._looked = 0.0

    def poll(self, now: float) -> None:
        for path in self._folder.glob(self._pattern):
            at = self._read.setdefault(path, _HEADER)
            with path.open("rb") as file:
                step = _step(file.read(_HEADER))
                file.seek(at)
                data = file.read()
            size = 2 * SAMPLES * step
            count = len(data) // size
            if count:
                pieces = (data[n * size : (n + 1) * size] for n in range(count))
                frames = (unpack(f"<{SAMPLES * step}h", each)[::step] for each in pieces)
                self._ear.frames(frames, self._looked, now)
                self._read[path] = at + count * size
        self._looked = now


def _step(header: bytes) -> int:
    """Samples of a WAV file per sample at 8000 Hz, all channels counted: 1 for mono at 8000 Hz.

    Also 1 if the header is not written yet, or is not valid.
    """
    if len(header) < _HEADER or header[:4] != b"RIFF":
        return 1
    channels, rate = int.from_bytes(header[22:24], "little"), int.from_bytes(header[24:28], "little")
    return max(1, min(channels, 2) * (rate // RATE))


class Arrivals:
    """The RTP that arrives at a host's ports. Used if the phone itself records nothing."""

    def __init__(self, trace: Trace, host: str, ports: range, ear: Ear) -> None:
        self._trace, self._host, self._ports, self._ear = trace, host, ports, ear
        self._read = 0
        self._unread: list[float] = []  # when packets came that can't be decoded here

    def skip(self) -> None:
        """Ignore what has arrived so far."""
        self._read = len(self._trace.records)

    def poll(self, now: float) -> None:
        records = self._trace.records
        while self._read < len(records):
            record = records[self._read]
            self._read += 1
            if not isinstance(record, Received) or record.host != self._host:
                continue
            if record.local.port not in self._ports:
                continue
            header = unpack_rtp(record.payload)
            if header is None:
                continue
            if header.payload_type != PCMU:
                self._unread.append(record.now)
            elif len(record.payload) == 12 + SAMPLES:
                self._ear.frames([g711.decode(record.payload[12:])], record.now - _SECONDS, record.now)
            elif len(record.payload) - 12 - SAMPLES in _TAGS:
                self._ear.sealed(record.now)

    def count(self, most: int) -> int:
        """Count at most so many packets that can't be decoded as speech. Returns how many were counted."""
        taken, self._unread = self._unread[:most], self._unread[most:]
        for at in taken:
            self._ear.sealed(at)
        return len(taken)


class Listener:
    """What a phone hears: from its recordings if it has any, else from what arrives at its host.

    Of arriving packets that can't be decoded here, as many count as ``relay`` received from others.
    ``until_change``: the recordings end when a call is changed; ``change`` reports that.
    """

    def __init__(
        self,
        files: Files | None,
        arrivals: Arrivals,
        *,
        until_change: bool,
        relay: RelayCounters | None = None,
    ) -> None:
        self._files, self._arrivals = files, arrivals
        self._until_change = until_change
        self._relay = relay
        self._credited = 0

    def poll(self, now: float) -> None:
        (self._arrivals if self._files is None else self._files).poll(now)
        if self._files is None and self._relay is not None:
            self._relay.poll(now)
            self._credited += self._arrivals.count(self._relay.total - self._credited)

    def close(self) -> None:
        """Close the relay's counters."""
        if self._relay is not None:
            self._relay.close()

    def change(self) -> None:
        if self._until_change and self._files is not None:
            self._files = None
            self._arrivals.skip()
