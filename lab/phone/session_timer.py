"""Session timers: a call that is not refreshed counts as dead (RFC 4028).

The rules of this file:

- Each 2xx to an INVITE or UPDATE decides who refreshes; ``refresher=uac`` is the side that sent that request.
  The refresher refreshes after half the interval (section 7.2), with the method of the phone's settings.
- The other side hangs up if no refresh arrives. It does so before the end of the interval, by 32 s or a third
  of the interval, whichever is smaller (section 10).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from siplab.lab.phone.user_agent import UserAgent
from siplab.lab.sip.events import EventKind, Facts
from siplab.lab.sip.messages import Incoming, name_addr_of
from siplab.lab.sip.timers import Timer

OPTION: Final = "timer"
MIN_SE: Final = 90  # seconds: no session interval may be shorter (RFC 4028 section 4)


class RefreshedCall(Protocol):
    """The parts of a call that a session timer uses."""

    @property
    def phone(self) -> UserAgent: ...
    @property
    def over(self) -> bool: ...

    def refresh(self, now: float, outcome: Callable[[int, float], None]) -> None: ...

    def bye(self, now: float, *, reason: str) -> None: ...


class SessionTimer:
    """The timer of one call. ``interval``: seconds, 0 if none is agreed. ``refreshes``: how many worked."""

    def __init__(self, call: RefreshedCall) -> None:
        self._call = call
        self.interval = 0
        self.refreshes = 0
        self._ours = False
        self._timer: Timer | None = None

    @property
    def _wanted(self) -> bool:
        return OPTION in self._call.phone.config.options

    def request_lines(self) -> bytes:
        """Header lines for our request that refreshes the session."""
        config = self._call.phone.config
        seconds = self.interval or config.session_expires or config.session_timer
        if not self._wanted or not seconds:
            return b""
        who = b"uac" if self._ours or not self.interval else b"uas"
        # The first request may leave the choice of the refresher to the callee (section 7.1).
        role = b";refresher=" + who if self.interval else b""
        return b"Session-Expires: %d%b\r\nMin-SE: %d\r\n" % (seconds, role, MIN_SE)

    def answer_lines(self, request: Incoming) -> bytes:
        """Header lines for our 2xx to such a request, which decide who refreshes and when."""
        seconds, refresher = _read(request)
        if not self._wanted or not seconds:
            self._settle(0, False)
            return b""
        if OPTION.encode() not in request.values(b"supported"):
            # A proxy on the way asks for the timer. The caller does not support it, so we refresh (section
            # 9).
            self._settle(seconds, True)
            return b"Session-Expires: %d;refresher=uas\r\n" % seconds
        refresher = refresher or self._call.phone.config.refresher
        self._settle(seconds, refresher == "uas")
        return b"Session-Expires: %d;refresher=%b\r\nRequire: timer\r\n" % (seconds, refresher.encode())

    def answered(self, response: Incoming) -> None:
        """The 2xx to our request decides who refreshes, and when; without the header nobody (section 7.2)."""
        seconds, refresher = _read(response)
        self._settle(seconds if self._wanted else 0, refresher != "uas")

    def _settle(self, seconds: int, ours: bool) -> None:
        self.interval, self._ours = seconds, ours

    def start(self, now: float) -> None:
        """The session is up, or was refreshed, now."""
        self.stop()
        if not self.interval or self._call.over:
            return
        timers = self._call.phone.layer.timers
        if self._ours:
            self._timer = timers.start(now + self.interval / 2, self._refresh)
        else:
            due = now + self.interval - min(32.0, self.interval / 3)
            self._timer = timers.start(due, self._expired)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refresh(self, argument: object, now: float) -> None:
        call = self._call
        timers = call.phone.layer.timers
        self._timer = timers.start(now + self.interval / 2, self._expired)

        def outcome(status: int, later: float) -> None:
            if 200 <= status < 300:
                self.refreshes += 1

        call.refresh(now, outcome)

    def _expired(self, argument: object, now: float) -> None:
        why, facts = f"no refresh within {self.interval} s (RFC 4028)", Facts(reference="RFC 4028")
        self._call.phone.note(now, EventKind.SESSION_EXPIRED, why, facts)
        self._call.bye(now, reason="session timer expired")


def _read(message: Incoming) -> tuple[int, str]:
    """Seconds and refresher of Session-Expires; 0 without a usable header, ``""`` without a refresher."""
    value = message.value(b"session-expires")
    digits = value.partition(b";")[0].strip()
    if not digits.isdigit() or len(digits) > 9:
        return 0, ""
    refresher = name_addr_of(b"<sip:x>;" + value.partition(b";")[2]).parameters.get(b"refresher", b"").lower()
    return int(digits), refresher.decode() if refresher in (b"uac", b"uas") else ""
