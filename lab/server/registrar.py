"""A registrar and its location service: RFC 3261 section 10.3.

The rules of this file:

- An address-of-record is ``sip:user@domain``, as text, whichever of the server's names was used.
- A REGISTER changes all the bindings that it lists, or none (section 10.3, step 7).
- With ``location="received"`` a binding whose Contact is not where the REGISTER came from
  remembers the source, as providers do for phones behind NAT (RFC 3581's idea, for requests).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from siplab.lab.server.core import ServerCore
from siplab.lab.sip.base import Transport
from siplab.lab.sip.dialog import next_hop
from siplab.lab.sip.events import EventKind, Facts
from siplab.lab.sip.messages import Incoming, name_addr_of, uri_of
from siplab.lab.sip.timers import Timer
from siplab.lab.sip.transaction_fsm import ServerTransaction
from siplab.lab.wire.ip import Endpoint

_MAX_CONTACTS = 10  # per address-of-record; more is refused, so that a binding list fits a datagram
_OLD_CSEQ = (
    "CSeq not above that of the binding (RFC 3261 10.3)",
    b"",
    Facts(part="CSeq", reference="RFC 3261 10.3"),
)


@dataclass(slots=True)
class Binding:
    """One Contact of an address-of-record.

    ``contact`` is its URI as registered. ``received`` is where the REGISTER came from if that is not
    the Contact's host and port (else ``None``, as always with ``location="contact"``); ``local`` the
    server's endpoint that it arrived at, over ``transport``. ``expires_at`` is in seconds of the trial.
    """

    contact: bytes
    received: Endpoint | None
    local: Endpoint
    expires_at: float
    call_id: bytes
    cseq: int
    timer: Timer | None = None
    transport: Transport = "udp"


Registered = Callable[[str, Binding, Incoming, float], None]
"""``registered(aor, binding, request, now)``: a phone has registered, or has refreshed its registration."""


class Registrar:
    """Registrations of one server; ``bindings`` maps an address-of-record to its bindings, oldest first."""

    def __init__(self, server: ServerCore) -> None:
        self._server = server
        self.watchers: list[Registered] = []
        self.bindings: dict[str, list[Binding]] = {}

    def lookup(self, user: str) -> list[Binding]:
        """The bindings of a user of the domain."""
        return list(self.bindings.get(self._server.aor(user), ()))

    def on_register(self, transaction: ServerTransaction, now: float) -> None:
        """Process a REGISTER, in the order of section 10.3."""
        server = self._server
        request = transaction.request
        if not server.is_own_domain(request.uri):
            facts = Facts(part="start line", value=_shown(request.uri))
            server.reject(transaction, 404, now, f"{facts.value} is not a domain of this server", facts=facts)
            return
        verdict = server.authenticate(transaction, now)
        if verdict is None:
            return
        to = uri_of(name_addr_of(request.value(b"to")).uri)
        user = to.user.decode("utf-8", "backslashreplace") if to is not None else ""
        if to is None or not server.is_own_host(to.host) or user not in server.config.users:
            facts = Facts(part="To", value=_shown(request.value(b"to")))
            server.reject(transaction, 404, now, f"{facts.value} is nobody here", facts=facts)
        elif user != verdict:
            server.reject(transaction, 403, now, f"{verdict} may not register {user}")
        else:
            self._update(transaction, server.aor(user), now)

    def _update(self, transaction: ServerTransaction, aor: str, now: float) -> None:
        server = self._server
        request = transaction.request
        contacts = request.values(b"contact")
        general = _seconds(request.value(b"expires"), server.config.max_expires)
        known = self.bindings.get(aor, [])
        if contacts == [b"*"]:
            if general != 0:
                facts = Facts(part="Contact", reference="RFC 3261 10.3")
                why = "Contact: * without Expires: 0 (RFC 3261 10.3)"
                server.reject(transaction, 400, now, why, facts=facts)
            elif self._is_old(known, request):
                server.reject(transaction, 500, now, *_OLD_CSEQ)
            else:
                for binding in list(known):
                    self._remove(aor, binding, EventKind.UNREGISTERED, now)
                self._confirm(transaction, aor, now)
            return
        changes: list[tuple[bytes, int, Binding | None]] = []
        for value in contacts:
            address = name_addr_of(value)
            own = address.parameters.get(b"expires")
            expires = general if own is None else _seconds(own, server.config.max_expires)
            if 0 < expires < server.config.min_expires:
                minimum = b"Min-Expires: %d\r\n" % server.config.min_expires
                server.reject(transaction, 423, now, f"{expires} s is too brief", minimum)
                return
            old = next((each for each in known if _same_uri(each.contact, address.uri)), None)
            if old is not None and self._is_old([old], request):
                server.reject(transaction, 500, now, *_OLD_CSEQ)
                return
            changes.append((address.uri, min(expires, server.config.max_expires), old))
        if len(known) + sum(old is None for _, _, old in changes) > _MAX_CONTACTS:
            why = f"more than {_MAX_CONTACTS} contacts for {aor}"
            server.reject(transaction, 403, now, why, facts=Facts(part="Contact"))
            return
        for uri, expires, old in changes:
            if expires:
                self._bind(aor, uri, expires, old, request, now)
            elif old is not None:
                self._remove(aor, old, EventKind.UNREGISTERED, now)
        self._confirm(transaction, aor, now)

    @staticmethod
    def _is_old(bindings: list[Binding], request: Incoming) -> bool:
        """Whether a REGISTER of the same Call-ID and this CSeq or a later one was there before."""
        return any(each.call_id == request.call_id and each.cseq >= request.cseq for each in bindings)

    def _bind(
        self, aor: str, uri: bytes, expires: int, old: Binding | None, request: Incoming, now: float
    ) -> None:
        received = None
        if self._server.config.location == "received" and next_hop(uri) != request.source:
            received = request.source
        binding = Binding(uri, received, request.local, now + expires, request.call_id, request.cseq)
        binding.transport = request.transport
        binding.timer = self._server.layer.timers.start(binding.expires_at, self._expire, (aor, binding))
        bindings = self.bindings.setdefault(aor, [])
        if old is None:
            bindings.append(binding)
        else:
            bindings[bindings.index(old)] = binding
            if old.timer is not None:
                old.timer.cancel()
        for each in self.watchers:
            each(aor, binding, request, now)
        where = f" from {received}" if received else ""
        detail = f"{aor} at {_shown(uri)}{where} for {expires} s"
        self._server.note(now, EventKind.REGISTERED, detail, Facts(aor=aor, remote=request.source))

    def _expire(self, argument: tuple[str, Binding], now: float) -> None:
        aor, binding = argument
        self._remove(aor, binding, EventKind.EXPIRED, now)

    def _remove(self, aor: str, binding: Binding, kind: EventKind, now: float) -> None:
        bindings = [each for each in self.bindings.get(aor, ()) if each is not binding]
        if bindings:
            self.bindings[aor] = bindings
        else:
            self.bindings.pop(aor, None)
        if binding.timer is not None:
            binding.timer.cancel()
        self._server.note(now, kind, f"{aor} at {_shown(binding.contact)}", Facts(aor=aor))

    def _confirm(self, transaction: ServerTransaction, aor: str, now: float) -> None:
        """200 with all current bindings (section 10.3, step 8)."""
        lines = [
            b"Contact: <%b>;expires=%d\r\n" % (each.contact, round(each.expires_at - now))
            for each in self.bindings.get(aor, ())
        ]
        transaction.reply(200, now, headers=b"".join(lines) + self._server.server_line)


def _seconds(value: bytes, default: int) -> int:
    """A delta-seconds value; what can't be read counts as ``default`` (section 10.3, step 6)."""
    return int(value) if value.isdigit() and len(value) <= 10 else default


def _same_uri(one: bytes, other: bytes) -> bool:
    """Comparison of RFC 3261 section 19.1.4, for the parts that these servers' URIs have."""
    if one == other:
        return True
    left, right = uri_of(one), uri_of(other)
    if left is None or right is None:
        return False
    special = (b"transport", b"user", b"ttl", b"method", b"maddr")
    return (
        left[:2] == right[:2]
        and left.host.lower() == right.host.lower()
        and left.port == right.port
        and all(left.parameters.get(each) == right.parameters.get(each) for each in special)
    )


def _shown(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")
