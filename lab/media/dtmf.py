"""Digits in the media stream: telephone events (RFC 4733)."""

from __future__ import annotations

from typing import Final

from siplab.lab.media.interfaces import MediaCall
from siplab.lab.sip.events import EventKind

DIGITS: Final = "0123456789*#ABCD"
_UPDATE: Final = 0.02  # seconds between the packets of one event
_STEPS: Final = 5  # so that a digit lasts 100 ms
_UNITS: Final = 160  # timestamp units in one step
_END: Final = 0x80
_VOLUME: Final = 10  # dBm0 below zero
_PAUSE: Final = 0.2  # seconds from one digit to the next


def dial(call: MediaCall, digits: str, now: float) -> None:
    """Send digits one after the other, in the audio stream and with its sequence numbers.

    Characters that are on no telephone key are left out.
    """
    for at, digit in enumerate(each for each in digits if each in DIGITS):
        start = now + at * _PAUSE
        call.phone.layer.timers.start(
            start, lambda event, then: _begin(call, event, then), DIGITS.index(digit)
        )


def _begin(call: MediaCall, event: int, now: float) -> None:
    sender = call.senders.get("audio")
    stream = call.session.stream("audio")
    if sender is None or sender.remote is None or stream is None or stream.telephone_event is None:
        call.phone.note(now, EventKind.NOT_SENT, "a digit: no audio is sent, or no events are agreed on")
        return
    payload_type, timestamp = stream.telephone_event, sender.timestamp

    def send(step: int, then: float) -> None:
        if sender.remote is None:
            return
        last = step == _STEPS - 1
        # The end is sent three times (section 2.5.1.4): if it got lost, the digit would never end.
        for _ in range(3 if last else 1):
            # Never a duration of 0, which says that the event is a state (section 2.3.5).
            duration = ((step + 1) * _UNITS).to_bytes(2, "big")
            payload = bytes([event, (_END if last else 0) | _VOLUME]) + duration
            packet = sender.event(payload_type, payload, marker=step == 0, timestamp=timestamp)
            call.phone.layer.send(sender.local, sender.remote, packet)
        if not last:
            call.phone.layer.timers.start(then + _UPDATE, send, step + 1)

    send(0, now)


class Digits:
    """The digits that arrive on one stream."""

    def __init__(self) -> None:
        self._ended: set[int] = set()

    def read(self, timestamp: int, payload: bytes) -> str | None:
        """The digit that ends with this packet; ``None`` if none does, or if the packet repeats an end."""
        if len(payload) < 4 or payload[0] >= len(DIGITS) or not payload[1] & _END or timestamp in self._ended:
            return None
        self._ended.add(timestamp)
        return DIGITS[payload[0]]
