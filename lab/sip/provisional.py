"""Provisional responses that are acknowledged: 100rel and PRACK (RFC 3262).

The rules of this file:

- A reliable provisional response is repeated after T1, doubling, until its PRACK arrives; without one in
  64*T1 the INVITE is refused with 500 (section 3).
- The caller acknowledges them in order, each once. A repeated response causes no second PRACK: the PRACK is
  a transaction of its own, which does its own retransmissions (section 4).
"""

from __future__ import annotations

from collections.abc import Callable

from siplab.lab.sip.messages import Incoming
from siplab.lab.sip.timers import Timers
from siplab.lab.sip.transaction_fsm import T1, TIMEOUT, ServerTransaction

OPTION = b"100rel"


def is_offered(request: Incoming) -> bool:
    """Whether the caller understands reliable provisional responses."""
    return any(OPTION in request.values(name) for name in (b"supported", b"require"))


def sequence(response: Incoming) -> int | None:
    """The RSeq of a reliable provisional response; ``None`` for an ordinary one."""
    number = response.value(b"rseq")
    if OPTION in response.values(b"require") and number.isdigit() and len(number) <= 10:
        return int(number)
    return None


class Reliable:
    """One provisional response on its way to the caller; calls ``gave_up(now)`` if no PRACK comes."""

    def __init__(
        self,
        timers: Timers,
        transaction: ServerTransaction,
        number: int,
        gave_up: Callable[[float], None],
    ) -> None:
        self.number = number
        self.acknowledged = False
        self._timers = timers
        self._transaction = transaction
        self._gave_up = gave_up
        self._interval = T1
        self._wire = b""
        self._status = 0

    @property
    def lines(self) -> bytes:
        """The header lines that make a response reliable."""
        return b"Require: 100rel\r\nRSeq: %d\r\n" % self.number

    def sent(self, status: int, wire: bytes, now: float) -> None:
        """The response has gone out: repeat it until it is acknowledged."""
        self._status, self._wire = status, wire
        self._resend = self._timers.start(now + T1, self._again)
        self._deadline = self._timers.start(now + TIMEOUT, self._end)

    def on_prack(self, prack: Incoming) -> bool:
        """Whether this PRACK acknowledges this response (section 7.2: RSeq, CSeq number, method)."""
        words = prack.value(b"rack").split()
        cseq = b"%d" % self._transaction.request.cseq
        if self.acknowledged or words != [b"%d" % self.number, cseq, b"INVITE"]:
            return False
        self.stop()
        self.acknowledged = True
        return True

    def stop(self) -> None:
        """Stop repeating it."""
        self._resend.cancel()
        self._deadline.cancel()

    def _again(self, argument: object, now: float) -> None:
        self._transaction.send(self._status, self._wire, now)
        self._interval *= 2
        self._resend = self._timers.start(now + self._interval, self._again)

    def _end(self, argument: object, now: float) -> None:
        self.stop()
        self._gave_up(now)
