"""A conference that a phone makes of its calls: each party hears the phone and all other parties.

RFC 4579 calls this an end-system mixing conference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from siplab.lab.media.audio import mix
from siplab.lab.phone.call import Call


def join(calls: Sequence[Call]) -> None:
    """From now on each call carries the voices of the other calls, mixed with our own."""
    for call in calls:
        others = [each for each in calls if each is not call]
        sender = call.senders.get("audio")
        if sender is not None:
            sender.live = _mixture(call, others)


def part(calls: Sequence[Call]) -> None:
    """End the mixing: each call carries our own voice only."""
    for call in calls:
        sender = call.senders.get("audio")
        if sender is not None:
            sender.live = None


def _mixture(call: Call, others: Sequence[Call]) -> Callable[[int, float], bytes]:
    def sound(number: int, now: float) -> bytes:
        frames = [call.phone.config.signal.frame(number)]
        for other in others:
            heard = None if other.over else other.heard["audio"].frame_at(now)
            if heard is not None:
                frames.append(heard)
        return mix(*frames)

    return sound
