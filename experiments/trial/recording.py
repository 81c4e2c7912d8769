"""Sound files of a trial's calls: left channel what was said, right channel what was heard of it.

The rules of this file:

- One file for each side of each answered call. The format is G.711: small, and without loss here.
- Faults show at the start, around a silence, and at the end. So a file has a few seconds around each of these
  moments, one after the other; ``full`` has everything, two minutes at most.
- A table beside the file says when there was silence, and where in the file each part of the call is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from siplab.lab.media.audio import SAMPLES, write_stereo
from siplab.lab.media.rtp_sender import PACKET_TIME
from siplab.lab.outputs import write_text
from siplab.lab.phone.call import Call
from siplab.lab.phone.phone import Phone
from siplab.lab.wire import g711

Audio = Literal["changes", "full"]
LONGEST: Final = 120.0  # seconds of one recording: enough to hear any fault
_AROUND: Final = 3.0  # seconds before and after each moment at which something changes
_QUIET: Final = bytes([g711.SILENCE]) * SAMPLES


@dataclass(frozen=True)
class Recorder:
    """Writes files whose names begin with ``stem``."""

    stem: Path
    audio: Audio = "changes"

    def record(self, phones: Sequence[Phone], now: float) -> list[Path]:
        """Write what was said and heard in each answered call; returns the sound files."""
        written = []
        for phone in phones:
            for number, call in enumerate(phone.calls, 1):
                if call.established_at is None:
                    continue
                end = now if call.ended_at is None else call.ended_at
                name = f"{self.stem.name}__{phone.config.user}-heard-{number}"
                path = self.stem.with_name(f"{name}.wav")
                self._write(path, call, _peer(call, phone, phones), end)
                written.append(path)
        return written

    def _write(self, path: Path, call: Call, peer: Call | None, end: float) -> None:
        begin = call.established_at or 0.0
        silences = call.heard["audio"].silences(begin, end)
        parts = [(begin, end)] if self.audio == "full" else _around(begin, end, silences)
        frames: list[tuple[bytes, bytes]] = []
        rows: list[tuple[str, float, float, float | None]] = [("silent", a, b, None) for a, b in silences]
        for first, last in parts:
            last = min(last, first + LONGEST - len(frames) * PACKET_TIME)
            if last <= first:
                break
            rows.append(("recorded", first, last, len(frames) * PACKET_TIME))
            heard = list(call.heard["audio"].sound(first, last))
            said = list(_said(peer, first, len(heard)))
            frames += zip(said, heard, strict=True)
        write_stereo(path, frames)
        lines = ["what,from,to,at\n"]  # what; seconds from the answer; seconds in the file
        for what, first, last, at in rows:
            place = "" if at is None else f"{at:.2f}"
            lines.append(f"{what},{first - begin:.3f},{last - begin:.3f},{place}\n")
        write_text(path.with_suffix(".csv"), "".join(lines))


def _around(begin: float, end: float, silences: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The stretches around the moments at which something changes. Stretches that meet are joined."""
    moments = sorted({begin, end, *(each for silence in silences for each in silence)})
    found: list[tuple[float, float]] = []
    for each in moments:
        first, last = max(begin, each - _AROUND), min(end, each + _AROUND)
        if found and first <= found[-1][1]:
            found[-1] = found[-1][0], last
        else:
            found.append((first, last))
    return found


def _peer(call: Call, phone: Phone, phones: Sequence[Phone]) -> Call | None:
    """The call at the other end: the one with the same Call-ID, else the one that overlaps longest."""
    others = [each for other in phones if other is not phone for each in other.calls if each.senders]

    def likeness(other: Call) -> tuple[bool, float]:
        begin = max(call.established_at or call.started, other.established_at or other.started)
        ends = [each.ended_at for each in (call, other) if each.ended_at is not None]
        return other.call_id == call.call_id, min(ends, default=float("inf")) - begin

    return max(others, key=likeness, default=None)


def _said(call: Call | None, begin: float, count: int) -> Iterator[bytes]:
    """What one side said: ``count`` frames from ``begin`` on."""
    sender = call.senders.get("audio") if call is not None else None
    spoken = sender.spoken if sender is not None else []
    for number in range(count):
        now = begin + number * PACKET_TIME
        frame = _QUIET
        for each in reversed(spoken):
            if each.begin <= now + 1e-6:
                at = int((now - each.begin) / PACKET_TIME + 1e-6)
                if sender is not None and sender.steady and at < each.packets:
                    frame = sender.frame(each.first + at)
                break
        yield frame
