"""The client side of a registration: RFC 3261 section 10.2.

The rules of this file:

- One Call-ID for all REGISTERs of a phone, CSeq one higher each time (section 10.2).
- The binding is refreshed a minute before it expires, or halfway for short ones. After a failure
  the phone waits and tries again from scratch.
- What the registrar says about *our* Contact counts. If it lists others only, that is noted: some
  device has rewritten it one way.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final

from siplab.lab.phone.user_agent import UserAgent
from siplab.lab.sip.digest import Credentials
from siplab.lab.sip.events import EventKind, Facts
from siplab.lab.sip.messages import Incoming, name_addr_of, token, uri_of
from siplab.lab.sip.timers import Timer
from siplab.lab.sip.transaction_fsm import ClientTransaction

_MAX_TRIES: Final = 5  # challenges and 423s in a row, before a registrar is taken to be broken


class RegistrationState(Enum):
    """How far a registration is."""

    UNREGISTERED = "unregistered"
    REGISTERING = "registering"
    REGISTERED = "registered"
    FAILED = "failed"


class Registration:
    """A phone's registration. ``status`` is the last final status, ``changed_at`` when ``state`` was
    taken, ``expires`` the granted lifetime in seconds, ``expires_at`` when it runs out.
    ``follow(registered, now)`` is called when ``state`` becomes another one.
    """

    def __init__(self, phone: UserAgent, follow: Callable[[bool, float], None]) -> None:
        config = phone.config
        self._phone = phone
        self._follow = follow
        self.state = RegistrationState.UNREGISTERED
        self.status = 0
        self.changed_at = 0.0
        self.expires = 0
        self.expires_at: float | None = None
        self._uri = b"sip:" + config.domain.encode()
        self._address = b"<" + phone.aor + b">"
        self._from_tag = token(phone.rng)
        self._call_id = phone.new_call_id()
        self._cseq = 0
        self._credentials = Credentials(config.user, config.password, phone.rng)
        self._pending: ClientTransaction | None = None
        self._asked = config.expires
        self._tries = 0
        self._timer: Timer | None = None
        self._star = False

    def register(self, now: float) -> None:
        """Register, or refresh."""
        self._star = False
        self._begin(self._phone.config.expires, now)

    def unregister(self, now: float, *, everything: bool = False) -> None:
        """Remove the binding, or with ``everything`` all of the user's by ``Contact: *`` (section 10.2.2)."""
        self._star = everything
        self._begin(0, now)

    def flow_failed(self, now: float) -> None:
        """The connection by which the server reached us is gone: wait, and register again (RFC 5626 4.5)."""
        if self.state is RegistrationState.REGISTERED:
            self._stop_timer()
            self._become(RegistrationState.FAILED, now)
            due = now + self._phone.config.retry_after
            self._timer = self._phone.layer.timers.start(due, self._again)

    def _begin(self, expires: int, now: float) -> None:
        self._stop_timer()
        self._tries = 0
        self._asked = expires
        if self.state is not RegistrationState.REGISTERED:
            self._become(RegistrationState.REGISTERING, now)
        self._send(now)

    def _again(self, argument: object, now: float) -> None:
        self.register(now)

    def _send(self, now: float) -> None:
        phone = self._phone
        self._cseq += 1
        self._tries += 1
        request = phone.compose(
            b"REGISTER",
            self._uri,
            from_=self._address + b";tag=" + self._from_tag,
            from_tag=self._from_tag,
            to=self._address,
            call_id=self._call_id,
            cseq=self._cseq,
            headers=(phone.names.contact + b"*\r\n" if self._star else phone.contact_line)
            + b"Expires: %d\r\n" % self._asked
            + self._credentials.lines(b"REGISTER", self._uri)
            + phone.agent_line,
        )
        self._pending = phone.layer.request(request, phone.origin, phone.config.server, now, self._answered)

    def _answered(
        self, transaction: ClientTransaction, status: int, response: Incoming | None, now: float
    ) -> None:
        if transaction is not self._pending or status < 200:
            return
        if response is not None and self._tries < _MAX_TRIES:
            if status in (401, 407) and self._credentials.accept(response):
                self._send(now)
                return
            if status == 423:
                wanted = _seconds(response.value(b"min-expires"))
                if wanted is not None and wanted > self._asked:
                    self._asked = wanted
                    self._send(now)
                    return
        self._pending = None
        self.status = status
        if response is not None and 200 <= status < 300:
            self._succeeded(response, now)
        else:
            self._failed(status, response, now)

    def _succeeded(self, response: Incoming, now: float) -> None:
        if self._asked == 0:
            self._become(RegistrationState.UNREGISTERED, now)
            self._phone.note(now, EventKind.UNREGISTERED)
            return
        granted = self._granted(response, now)
        if granted is None:
            self._failed(self.status, response, now)
            return
        self.expires = granted
        self.expires_at = now + self.expires
        self._become(RegistrationState.REGISTERED, now)
        self._phone.note(now, EventKind.REGISTERED, f"for {self.expires} s")
        # At least a second, whatever was granted: a registrar that grants 0 must not be flooded.
        delay = max(self.expires - 60, self.expires / 2, 1)
        self._timer = self._phone.layer.timers.start(now + delay, self._again)

    def _granted(self, response: Incoming, now: float) -> int | None:
        """Lifetime of our binding (section 10.2.4), as far as the response tells; ``None``: none."""
        general = _seconds(response.value(b"expires"))
        fallback = self._asked if general is None else general
        contacts = response.values(b"contact")
        for value in contacts:
            if _same_place(name_addr_of(value).uri, self._phone.contact):
                own = _seconds(name_addr_of(value).parameters.get(b"expires", b""))
                return fallback if own is None else own
        listed = b", ".join(contacts).decode("utf-8", "backslashreplace") or "none"
        own_contact = self._phone.contact.decode()
        facts = Facts(200, "REGISTER", "Contact", listed)
        self._phone.note(now, EventKind.CONTACT_MISMATCH, f"the 200 lists {listed}, not {own_contact}", facts)
        return None if self._phone.config.strict_contact else fallback

    def _failed(self, status: int, response: Incoming | None, now: float) -> None:
        self._credentials.forget()
        self.expires_at = None
        self._become(RegistrationState.FAILED, now)
        detail = f"{status}" if response is not None else f"{status}, no response"
        self._phone.note(now, EventKind.REGISTRATION_FAILED, detail, Facts(status, "REGISTER"))
        if self._asked:
            self._timer = self._phone.layer.timers.start(now + self._phone.config.retry_after, self._again)

    def _become(self, state: RegistrationState, now: float) -> None:
        if state is not self.state:
            self.state = state
            self.changed_at = now
            self._follow(state is RegistrationState.REGISTERED, now)
        if state is RegistrationState.UNREGISTERED:
            self.expires_at = None

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _seconds(value: bytes) -> int | None:
    """A delta-seconds value (RFC 3261 section 25.1), at most 2**32-1."""
    return min(int(value), 2**32 - 1) if value.isdigit() and len(value) <= 10 else None


def _same_place(one: bytes, other: bytes) -> bool:
    """Whether two URIs name the same user, host and port, as far as RFC 3261 section 19.1.4 goes here."""
    if one == other:
        return True
    left, right = uri_of(one), uri_of(other)
    return (
        left is not None
        and right is not None
        and left[:2] == right[:2]
        and left.port == right.port
        and (left.host.lower() == right.host.lower())
    )
