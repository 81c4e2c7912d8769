"""The client side of a registration: RFC 3261 section 10.2.

The rules of this file:

- All REGISTERs of a phone have one Call-ID, and the CSeq number grows by one each time (section 10.2).
- The phone's settings ``refresh`` and ``retry`` say when the binding is refreshed, and when the phone tries
  again after a failure.
- Only what the registrar says about *our* Contact counts. If the 200 lists only other Contacts, the phone
  notes that: some device has rewritten the Contact one way.
- A phone that learns takes its public endpoint from the Via of any final response, writes it into Contact,
  and registers that. The phone does so once: it learns nothing from the new round of REGISTERs.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from ipaddress import ip_address, ip_network
from typing import Final

from siplab.lab.phone.user_agent import UserAgent
from siplab.lab.sip.digest import Credentials
from siplab.lab.sip.events import EventKind, Facts
from siplab.lab.sip.messages import Incoming, endpoint_at, name_addr_of, token, uri_of
from siplab.lab.sip.timers import Timer
from siplab.lab.sip.transaction_fsm import ClientTransaction
from siplab.lab.wire.ip import Endpoint

_PRIVATE: Final = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
_MAX_TRIES: Final = 5  # challenges and 423s in a row, after which the registrar counts as broken


class RegistrationState(Enum):
    """How far a registration is."""

    UNREGISTERED = "unregistered"
    REGISTERING = "registering"
    REGISTERED = "registered"
    FAILED = "failed"


class Registration:
    """A phone's registration.

    ``status``: the last final status. ``changed_at``: when ``state`` last changed. ``expires``: the granted
    lifetime in seconds; ``expires_at``: when it ends. ``follow(registered, now)`` is called when ``state``
    changes.
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
        self._failures = 0  # in a row
        self._learning = phone.config.learn != "none"  # false in a round that learning has caused
        self._leaving = b""  # the Contact that is removed before another is registered
        self._gone = b""  # the Contact that the same REGISTER removes

    def register(self, now: float) -> None:
        """Register, or refresh."""
        self._star = False
        self._begin(self._phone.config.expires, now)

    def unregister(self, now: float, *, everything: bool = False) -> None:
        """Remove the binding; with ``everything`` all of the user's, by ``Contact: *`` (section 10.2.2)."""
        self._star = everything
        self._begin(0, now)

    def flow_failed(self, now: float) -> None:
        """The connection by which the server reached us is lost: wait, and register again (RFC 5626 4.5)."""
        if self.state is RegistrationState.REGISTERED:
            self._stop_timer()
            self._become(RegistrationState.FAILED, now)
            self._retry(503, None, now)

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
        lines = self._leaving or self._gone + phone.contact_line
        if self._star:
            lines = phone.names.contact + b"*\r\n"
        if phone.config.contact_form == "unique-user" and not self._star:
            lines = lines.removesuffix(b"\r\n") + b";expires=%d\r\n" % self._asked
        else:
            lines += b"Expires: %d\r\n" % self._asked
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
            headers=lines + self._credentials.lines(b"REGISTER", self._uri) + phone.agent_line,
        )
        self._pending = phone.layer.request(request, phone.origin, phone.config.server, now, self._answered)

    def _answered(
        self, transaction: ClientTransaction, status: int, response: Incoming | None, now: float
    ) -> None:
        if transaction is not self._pending or status < 200:
            return
        seen = self._seen(response) if response is not None else None
        if seen is not None and status >= 300:
            self._take(seen, now)
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
        if self._leaving:
            self._leaving = b""
            self._begin(self._phone.config.expires, now)
        elif response is not None and 200 <= status < 300:
            self._succeeded(response, now)
            if seen is not None and self.state is RegistrationState.REGISTERED:
                self._move(seen, now)
        else:
            self._failed(status, response, now)

    def _succeeded(self, response: Incoming, now: float) -> None:
        if self._asked == 0:
            self._become(RegistrationState.UNREGISTERED, now)
            self._phone.note(now, EventKind.UNREGISTERED)
            return
        self._learning = self._phone.config.learn != "none"
        granted = self._granted(response, now)
        if granted is None:
            if self._phone.config.contact_policy == "unregister":
                self._failed(self.status, response, now)
            return
        self._failures, self._gone = 0, b""
        self.expires = granted
        self.expires_at = now + self.expires
        self._become(RegistrationState.REGISTERED, now)
        self._phone.note(now, EventKind.REGISTERED, f"for {self.expires} s")
        refresh = self._phone.config.refresh
        if not isinstance(refresh, int | float):
            refresh = self._phone.rng.uniform(*refresh)
        # Wait at least a second: a registrar that grants 0 must not be flooded.
        least = max(self.expires - refresh, self.expires / 2)
        delay = max(self.expires * refresh if refresh < 1 else least, 1)
        self._timer = self._phone.layer.timers.start(now + delay, self._again)

    def _granted(self, response: Incoming, now: float) -> int | None:
        """The lifetime of our binding (section 10.2.4) by the response; ``None`` if it grants none."""
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
        return fallback if self._phone.config.contact_policy == "fallback" else None

    def _failed(self, status: int, response: Incoming | None, now: float) -> None:
        self._credentials.forget()
        self.expires_at = None
        self._become(RegistrationState.FAILED, now)
        detail = f"{status}" if response is not None else f"{status}, no response"
        self._phone.note(now, EventKind.REGISTRATION_FAILED, detail, Facts(status, "REGISTER"))
        if self._asked:
            self._retry(status, response, now)

    def _retry(self, status: int, response: Incoming | None, now: float) -> None:
        """Wait as long as this phone waits after such a failure, if it tries again at all."""
        config = self._phone.config
        names: list[int | str] = [status, f"{status // 100}xx", "else"]
        if response is None:
            names.insert(0, "silence")
        wait = next((config.retry[each] for each in names if each in config.retry), "never")
        if isinstance(wait, str):  # "never"
            return
        wait *= config.retry_growth**self._failures
        self._failures += 1
        if config.retry_limit:
            wait = min(wait, config.retry_limit)
        if config.retry_spread != (1.0, 1.0):
            wait *= self._phone.rng.uniform(*config.retry_spread)
        self._timer = self._phone.layer.timers.start(now + wait, self._again)

    # -- its public address ------------------------------------------------------------------------

    def _seen(self, response: Incoming) -> Endpoint | None:
        """The endpoint that the phone learns from a response, if it differs from Contact's."""
        phone, how, via = self._phone, self._phone.config.learn, response.via
        if not self._learning or via is None or not self._asked:
            return None
        received, rport = via.parameters.get(b"received", b""), via.parameters.get(b"rport", b"")
        port = int(rport) if rport.isdigit() and len(rport) < 6 else via.sent_by.port
        seen, known = endpoint_at(received or via.sent_by.host, port), phone.reachable
        if seen is None or seen == known or (how == "received" and not received):
            return None
        # pjsip does not learn a private address if only the port differs (#864), or if both its own and the
        # server's address are public (#643: then an ALG wrote it).
        private = how == "guarded" and _is_private(seen)
        if private and (seen.ip == known.ip or not (_is_private(known) or _is_private(phone.config.server))):
            return None
        return seen

    def _take(self, seen: Endpoint, now: float) -> None:
        self._learning = False
        self._phone.learn(seen, now, via=self._phone.config.learn == "guarded")

    def _move(self, seen: Endpoint, now: float) -> None:
        """Register the endpoint learnt from a 200, and remove the one that was registered."""
        how, old = self._phone.config.learn, self._phone.contact_line
        self._take(seen, now)
        if how == "guarded":
            self._leaving = old
            self._begin(0, now)
            return
        if how == "received":
            self._gone = old.rstrip() + b";expires=0\r\n"
        self._begin(self._phone.config.expires, now)

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


def _is_private(endpoint: Endpoint) -> bool:
    """Whether pjsip considers an address private (RFC 1918)."""
    ip = ip_address(endpoint.ip)
    return ip.version == 4 and any(ip in each for each in _PRIVATE)


def _same_place(one: bytes, other: bytes) -> bool:
    """Whether two URIs have the same user, host and port (the part of RFC 3261 section 19.1.4 used here)."""
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
