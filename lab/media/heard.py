"""What of which signal was heard when, as a short table in the place of the sound itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from siplab.lab.media.audio import SILENCE, Signal
from siplab.lab.media.rtp_receiver import Sound
from siplab.lab.media.rtp_sender import PACKET_TIME

_MOST: Final = 2000  # spans of one stream; what comes behind them is counted to the last


@dataclass(frozen=True, slots=True)
class HeardSpan:
    """Sound without a gap, from ``begin`` to ``end`` in seconds.

    ``content`` is the name of the signal, empty for what is none of the phones' signals, as a mix of them;
    ``frame`` the number of the 20 ms of it with which the span begins.
    """

    begin: float
    end: float
    content: str
    frame: int


def spans(sounds: Iterable[Sound], known: Sequence[Signal]) -> list[HeardSpan]:
    """The spans of what arrived; ``known``: the signals that may be in it."""
    signals = {each.name: each for each in (*known, SILENCE)}
    frames = {
        frame: (each.name, number)
        for each in reversed(list(signals.values()))
        for number, frame in reversed(list(enumerate(each.frames)))
    }
    found: list[HeardSpan] = []
    for each in sounds:
        last = found[-1] if found else None
        expected = 0 if last is None else last.frame + round((each.at - last.begin) / PACKET_TIME)
        if each.train is not None:
            packets, content, frame = each.train.packets, each.train.content, each.train.first
        else:
            # The same signal, as far on as the time is, if that can be: many frames of a pause are alike.
            signal = signals.get(last.content) if last is not None else None
            goes_on = last is not None and signal is not None and signal.frame(expected) == each.frame
            packets = 1
            content, frame = (last.content, expected) if last and goes_on else frames.get(each.frame, ("", 0))
        length = len(signals[content].frames) if content in signals else 1
        end = each.at + packets * PACKET_TIME
        if last is not None and (
            len(found) >= _MOST
            or (
                each.at - last.end < PACKET_TIME * 0.75
                and content == last.content
                and (frame - expected) % length == 0
            )
        ):
            found[-1] = replace(last, end=max(last.end, end))
        else:
            found.append(HeardSpan(each.at, end, content, frame % length))
    return found
