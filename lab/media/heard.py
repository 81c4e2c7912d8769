"""Which part of which signal was heard when: a short table instead of the sound itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from siplab.lab.media.audio import SILENCE, Signal
from siplab.lab.media.rtp_receiver import Sound, one_by_one
from siplab.lab.media.rtp_sender import PACKET_TIME

_MOST: Final = 2000  # spans of one stream; the last one includes all that follows


@dataclass(frozen=True, slots=True)
class HeardSpan:
    """Sound without a gap, from ``begin`` to ``end`` in seconds.

    ``content`` is the name of the signal, empty if it is none of the phones' signals (a mix, for example).
    ``frame``: the number of the signal's frame (20 ms) with which the span begins.
    """

    begin: float
    end: float
    content: str
    frame: int


@lru_cache(maxsize=64)
def _frames_of(signals: tuple[Signal, ...]) -> dict[bytes, tuple[str, int]]:
    """The first signal that has a frame, and the first number of that frame in it."""
    return {
        frame: (each.name, number)
        for each in reversed(signals)
        for number, frame in reversed(list(enumerate(each.frames)))
    }


def _end(sound: Sound) -> float:
    """When the last frame of a sound has ended, in seconds."""
    train = sound.train
    if train is not None and train.arrivals is not None:
        return train.arrivals.times[-1] + PACKET_TIME
    return sound.at + (1 if train is None else train.packets) * PACKET_TIME


def spans(sounds: Sequence[Sound], known: Sequence[Signal]) -> list[HeardSpan]:
    """The spans of what arrived; ``known``: the signals that may be in it."""
    signals = {each.name: each for each in (*known, SILENCE)}
    frames = _frames_of(tuple(signals.values()))
    found: list[HeardSpan] = []
    begin = until = 0.0
    content, frame, length = "", -1, 1  # of the span under way, none yet
    for each in one_by_one(sounds):
        at, train = each.at, each.train
        expected = frame + round((at - begin) / PACKET_TIME)
        if train is not None:
            packets, what, number = train.packets, train.content, train.first
        else:
            packets = 1
            # If possible, the same signal goes on: a frame of a pause may stand in many places.
            if frame >= 0 and content in signals and signals[content].frame(expected) == each.frame:
                what, number = content, expected
            else:
                what, number = frames.get(each.frame, ("", 0))
        end = at + packets * PACKET_TIME
        goes_on = what == content and at - until < PACKET_TIME * 0.75 and (number - expected) % length == 0
        if frame >= 0 and len(found) + 1 >= _MOST:
            until = max(until, *map(_end, sounds))
            break
        if goes_on and frame >= 0:
            until = max(until, end)
            continue
        if frame >= 0:
            found.append(HeardSpan(begin, until, content, frame))
        length = len(signals[what].frames) if what in signals else 1
        begin, until, content, frame = at, end, what, number % length
    if frame >= 0:
        found.append(HeardSpan(begin, until, content, frame))
    return found
