"""What each phone sent and heard in a trial, in figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from siplab.lab.media.audio import Signal
from siplab.lab.media.heard import HeardSpan, spans
from siplab.lab.phone.call import Call
from siplab.lab.phone.phone import Phone


@dataclass(frozen=True)
class StreamReport:
    """One stream of one call, at one end; times in seconds.

    ``who``: the phone's user; ``call``: the number of its call, from 1. ``lost``: sequence numbers that never
    came, between others that did. ``first_after``: from the answer to the first packet (negative: early
    media); ``None`` if no packet came. ``silences``: begin and end of each, counted from the answer.
    ``heard``: which sound came when, counted from the answer too. ``rtcp_sent`` and ``rtcp_received``: RTCP
    reports on the stream, if the phone sends any.
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
    heard: tuple[HeardSpan, ...] = ()


def report(phones: Iterable[Phone], now: float) -> list[StreamReport]:
    """The streams of all calls that were answered."""
    phones = list(phones)
    signals = list({phone.config.signal.name: phone.config.signal for phone in phones}.values())
    return [
        row
        for phone in phones
        for number, call in enumerate(phone.calls, 1)
        if call.established_at is not None
        for row in _of_call(phone, number, call, now, signals)
    ]


def _of_call(
    phone: Phone, number: int, call: Call, now: float, signals: Sequence[Signal]
) -> Iterable[StreamReport]:
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
            tuple(
                replace(each, begin=round(each.begin - begin, 3), end=round(each.end - begin, 3))
                for each in (spans(listener.sounds, signals) if kind == "audio" else ())
            ),
        )
