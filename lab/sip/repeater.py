"""The 2xx to an INVITE, repeated until its ACK arrives (RFC 3261 section 13.3.1.4)."""

from __future__ import annotations

from collections.abc import Callable

from siplab.lab.sip.timers import Timer, Timers
from siplab.lab.sip.transaction_fsm import T1, T2, TIMEOUT, ServerTransaction


class Repeater:
    """Sends ``wire`` again after T1, doubling up to T2; calls ``gave_up(now)`` after ``patience`` seconds."""

    def __init__(
        self,
        timers: Timers,
        transaction: ServerTransaction,
        wire: bytes,
        now: float,
        gave_up: Callable[[float], None],
        patience: float = TIMEOUT,
    ) -> None:
        self._timers = timers
        self._transaction = transaction
        self._wire = wire
        self._interval = T1
        self._gave_up = gave_up
        self._resend: Timer = timers.start(now + T1, self._again)
        self._deadline: Timer = timers.start(now + patience, self._end)

    def stop(self) -> None:
        """The ACK is there, or the call is over."""
        self._resend.cancel()
        self._deadline.cancel()

    def _again(self, argument: object, now: float) -> None:
        self._transaction.send(200, self._wire, now)
        self._interval = min(2 * self._interval, T2)
        self._resend = self._timers.start(now + self._interval, self._again)

    def _end(self, argument: object, now: float) -> None:
        self.stop()
        self._gave_up(now)
