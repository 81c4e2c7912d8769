"""What one side of a call receives on one stream, and how well (RFC 3550 section 6.4 and A.3).

The rules of this file:

- Everything is kept as stretches: times, counts, and where to get the sound from. An hour of
  undisturbed sound is one stretch.
- A gap between two packets of more than 0.2 s is a silence that a listener notices.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import sub
from typing import Final, NamedTuple

from siplab.lab.media.audio import SAMPLES
from siplab.lab.sip.base import Arrivals, Train
from siplab.lab.wire import g711
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.rtp import RtpHeader

SILENCE_AFTER: Final = 0.2  # seconds
_QUIET: Final = bytes([g711.SILENCE]) * SAMPLES


@dataclass
class Stretch:
    """Packets without a noticeable gap: first and last arrival in seconds, and how many."""

    begin: float
    end: float
    packets: int


class Sound(NamedTuple):
    """Frames from the time ``at`` (seconds) on: one that arrived, or a train of them."""

    at: float
    frame: bytes
    train: Train | None = None


def one_by_one(sounds: Iterable[Sound]) -> Iterator[Sound]:
    """The same sounds, but a train that came over an impaired network is split into single frames."""
    for each in sounds:
        if each.train is None or each.train.arrivals is None:
            yield each
            continue
        frame, first = each.train.flow.frame, each.train.first
        for at, number in zip(*each.train.arrivals, strict=True):
            said = frame(first + number)
            if len(said) == SAMPLES:
                yield Sound(at, said)


class RtpReceiver:
    """One direction of one stream. ``lost`` counts sequence numbers that never came, as far as known.

    ``silence_after``: seconds without a packet that count as silence.
    """

    def __init__(self, silence_after: float = SILENCE_AFTER) -> None:
        self._silence_after = silence_after
        self.received = 0
        self.duplicates = 0
        self.reordered = 0
        self.stretches: list[Stretch] = []
        self.sources: dict[Endpoint, int] = {}
        self.events: list[int] = []
        self.sounds: list[Sound] = []
        self._ranges: dict[int, list[int]] = {}  # SSRC -> first and last extended sequence number, packets

    def packet(self, header: RtpHeader | None, payload: bytes, source: Endpoint, now: float) -> None:
        """One packet; without a header (UDPTL) it counts all the same."""
        if header is not None and not self._account(header, 1):
            return
        self._hear(now, now, 1, source)
        if header is not None and len(payload) == SAMPLES:
            self.sounds.append(Sound(now, payload))

    def train(self, train: Train, source: Endpoint, delay: float = 0.0) -> None:
        """Packets that shared the fate of the one before, or arrived as ``train.arrivals`` says."""
        if train.arrivals is not None:
            self._scattered(train, train.arrivals, source)
            return
        self._account(train.header, train.packets)
        first = train.begin + delay
        self._hear(first, first + (train.packets - 1) * train.interval, train.packets, source)
        self.sounds.append(Sound(first, b"", train))

    def frame_at(self, now: float) -> bytes | None:
        """The frame to play at a time, of what has arrived; ``None`` while nothing is heard."""
        for each in reversed(self.sounds):
            if each.at > now + 1e-6:
                continue
            if each.train is None:
                return each.frame if now - each.at < 0.06 else None
            if each.train.arrivals is not None:
                latest = bisect(each.train.arrivals.times, now + 1e-6) - 1
                if now - each.train.arrivals.times[latest] >= 0.06:
                    return None
                frame = each.train.flow.frame(each.train.first + each.train.arrivals.numbers[latest])
                return frame if len(frame) == SAMPLES else None
            number = int((now - each.at) / each.train.interval + 1e-6)
            if number < each.train.packets:
                frame = each.train.flow.frame(each.train.first + number)
                return frame if len(frame) == SAMPLES else None
            return None
        return None

    @property
    def ranges(self) -> Mapping[int, Sequence[int]]:
        """By SSRC: first and last extended sequence number, packets received."""
        return self._ranges

    # -- results ---------------------------------------------------------------------------------

    @property
    def lost(self) -> int:
        """Packets that did not arrive, though packets before and after them did."""
        return sum(max(0, last - first + 1 - packets) for first, last, packets in self._ranges.values())

    @property
    def first_at(self) -> float | None:
        """When the first packet came, in seconds of the trial."""
        return self.stretches[0].begin if self.stretches else None

    def between(self, begin: float, end: float) -> int:
        """About how many packets came between two times."""
        count = 0.0
        for each in self.stretches:
            if each.end < begin or each.begin > end:
                continue
            span = each.end - each.begin
            share = 1.0 if not span else (min(end, each.end) - max(begin, each.begin)) / span
            count += each.packets * share
        return round(count)

    def silences(self, begin: float, end: float) -> list[tuple[float, float]]:
        """The silences within a time, each with its begin and end."""
        found, heard = [], begin
        for each in self.stretches:
            if each.end < begin or each.begin > end:
                continue
            if each.begin - heard > self._silence_after:
                found.append((heard, each.begin))
            heard = max(heard, each.end)
        if end - heard > self._silence_after:
            found.append((heard, end))
        return found

    def sound(self, begin: float, end: float) -> Iterator[bytes]:
        """What was heard between two times, frame by frame, silence where nothing came."""
        clock = begin
        for at, frame in self._frames():
            if at < begin or at >= end:
                continue
            while at - clock > 0.03:
                yield _QUIET
                clock += 0.02
            yield frame
            clock += 0.02
        while end - clock > 0.01:
            yield _QUIET
            clock += 0.02

    def _frames(self) -> Iterator[tuple[float, bytes]]:
        for each in one_by_one(self.sounds):
            if each.train is None:
                yield each.at, each.frame
                continue
            for number in range(each.train.packets):
                frame = each.train.flow.frame(each.train.first + number)
                if len(frame) == SAMPLES:
                    yield each.at + number * each.train.interval, frame

    # -- counting --------------------------------------------------------------------------------

    def _account(self, header: RtpHeader, count: int) -> bool:
        """Note sequence numbers; returns whether they are new."""
        known = self._ranges.get(header.ssrc)
        if known is None:
            self._ranges[header.ssrc] = [header.sequence, header.sequence + count - 1, count]
            return True
        first, last, packets = known
        # The nearest number with these 16 bits (RFC 3550 A.1).
        ahead = (header.sequence - last + 0x8000) % 0x10000 - 0x8000
        if ahead == 0:
            self.duplicates += 1
            return False
        if ahead < 0:
            self.reordered += 1
            known[2] = min(packets + count, last - first + 1)
        else:
            known[1], known[2] = last + ahead + count - 1, packets + count
        return True

    def _scattered(self, train: Train, arrivals: Arrivals, source: Endpoint) -> None:
        """As ``packet`` for each of the arrivals."""
        if train.content == "image":  # UDPTL has no header
            self._hear_each(arrivals.times, source)
            return
        sequence, ssrc = train.header.sequence, train.header.ssrc
        if not arrivals.times:
            return
        known = self._ranges.get(ssrc)
        if known is None:
            start = (sequence + arrivals.numbers[0]) & 0xFFFF
            known = self._ranges[ssrc] = [start, start - 1, 0]
        first, last, packets = known
        repeated: list[int] = []  # positions
        for at, number in enumerate(arrivals.numbers):
            ahead = (sequence + number - last + 0x8000) % 0x10000 - 0x8000
            if ahead > 0:
                last += ahead
                packets += 1
            elif ahead == 0 and packets:
                repeated.append(at)
            else:
                self.reordered += 1
                packets = min(packets + 1, last - first + 1)
        known[1], known[2] = last, packets
        self.duplicates += len(repeated)
        times, numbers = arrivals
        if repeated:
            times, numbers = times[:], numbers[:]
            for at in reversed(repeated):
                del times[at], numbers[at]
        if not times:
            return
        self._hear_each(times, source)
        self.sounds.append(Sound(times[0], b"", train._replace(arrivals=Arrivals(times, numbers))))

    def _hear_each(self, times: Sequence[float], source: Endpoint) -> None:
        """As ``_hear`` for single packets, in order of arrival."""
        if not times:
            return
        ends = [at for at, pause in enumerate(map(sub, times[1:], times), 1) if pause > self._silence_after]
        for first, end in pairwise((0, *ends, len(times))):
            self._hear(times[first], times[end - 1], end - first, source)

    def _hear(self, begin: float, end: float, count: int, source: Endpoint) -> None:
        self.received += count
        self.sources[source] = self.sources.get(source, 0) + count
        if self.stretches and begin - self.stretches[-1].end <= self._silence_after:
            last = self.stretches[-1]
            last.end, last.packets = max(last.end, end), last.packets + count
        else:
            self.stretches.append(Stretch(begin, end, count))
