"""What each phone sent and heard in a trial: figures for the result, WAV files for the ear."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from siplab.lab.media.audio import write_wav
from siplab.lab.phone.call import Call
from siplab.lab.phone.phone import Phone

# A recording of an hour is 58 MB; nobody listens to more of a fault than this, in seconds.
LONGEST_RECORDING: Final = 120.0


@dataclass(frozen=True)
class StreamReport:
    """One stream of one call, at one end; times in seconds.

    ``who``: the phone's user, ``call`` the number of its call, from 1. ``lost``: sequence numbers that never
    came, between others that did. ``first_after``: from the answer to the first packet (negative: early
    media), ``None`` when none came. ``silences``: begin and end of each, counted from the answer.
    ``rtcp_sent`` and ``rtcp_received``: reports on the stream, where the phone sends any.
    """

    who: str
    call: int
    kind: str
    sent: int
    received: int
    lost: int
    duplicates: int
    reordered: int
    first_after: float | None
    silences: tuple[tuple[float, float], ...]
    rtcp_sent: int = 0
    rtcp_received: int = 0


def report(phones: Iterable[Phone], now: float) -> list[StreamReport]:
    """The streams of all calls that were answered."""
    return [
        row
        for phone in phones
        for number, call in enumerate(phone.calls, 1)
        if call.established_at is not None
        for row in _of_call(phone, number, call, now)
    ]


def _of_call(phone: Phone, number: int, call: Call, now: float) -> Iterable[StreamReport]:
    begin = call.established_at or 0.0
    end = now if call.ended_at is None else call.ended_at
    for kind, listener in call.heard.items():
        sender = call.senders.get(kind)
        if sender is None and not listener.received:
            continue
        first = listener.first_at
        reporter = call.media.reporters.get(kind)
        yield StreamReport(
            phone.config.user,
            number,
            kind,
            sender.sent if sender is not None else 0,
            listener.received,
            listener.lost,
            listener.duplicates,
            listener.reordered,
            None if first is None else round(first - begin, 6),
            tuple((round(a - begin, 3), round(b - begin, 3)) for a, b in listener.silences(begin, end)),
            reporter.sent if reporter is not None else 0,
            reporter.received if reporter is not None else 0,
        )


def record(folder: Path, name: str, phones: Sequence[Phone], now: float) -> list[Path]:
    """Write what each phone heard in each answered call, two minutes of it at most, as WAV files."""
    written = []
    for phone in phones:
        for number, call in enumerate(phone.calls, 1):
            begin = call.established_at
            if begin is None:
                continue
            end = min(now if call.ended_at is None else call.ended_at, begin + LONGEST_RECORDING)
            path = folder / f"{name}__{phone.config.user}-heard-{number}.wav"
            write_wav(path, call.heard["audio"].sound(begin, end))
            written.append(path)
    return written
