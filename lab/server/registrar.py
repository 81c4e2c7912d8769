"""A registrar and its location service: RFC 3261 section 10.3.

The rules of this file:

- An address-of-record is ``sip:user@domain``, as text, whichever of the server's names was used.
- A REGISTER changes all the bindings that it lists, or none (section 10.3, step 7).
- With ``store="source"`` a binding remembers the source of its REGISTER, if the Contact differs from it.
  Providers do so for phones behind NAT (RFC 3581's idea, for requests). With ``source-if-nat`` the registrar
  does so only for a phone that seems to be behind NAT. A REGISTER with a ``Path`` (RFC 3327) comes from an
  outbound proxy of the provider's own. Calls go back through that proxy, whatever ``store`` is.
- ``binding_match`` says when a Contact is a known one: by section 19.1.4, byte for byte, or whenever the user
  is the same. ``old_cseq`` is the answer to a CSeq that is not above the binding's; with 400 an equal CSeq
  within 20 s changes nothing, as with Kamailio.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from siplab.lab.server.core import ServerCore
from siplab.lab.server.validation import unreadable_contact
from siplab.lab.sip.base import SipTransport
from siplab.lab.sip.dialog import next_hop
from siplab.lab.sip.events import EventKind, Facts
from siplab.lab.sip.messages import Incoming, hostport, name_addr_of, uri_of
from siplab.lab.sip.timers import Timer
from siplab.lab.sip.transaction_fsm import ServerTransaction
from siplab.lab.wire.ip import Endpoint

_DEFAULT_EXPIRES = 3600  # if the REGISTER asks for none, and there is no limit
_SAME_REQUEST = 20.0  # seconds in which a REGISTER with the binding's CSeq counts as the same one
_OLD_CSEQ = (
    "CSeq not above that of the binding (RFC 3261 10.3)",
    b"",
    Facts(part="CSeq", reference="RFC 3261 10.3"),
)


@dataclass(slots=True)
class Binding:
    """One Contact of an address-of-record.

    ``contact`` is its URI as registered. ``received`` is where the REGISTER came from if calls go there and
    not to the Contact's host and port, else ``None``; ``source`` where it came from in any case; ``local``
    the server's endpoint that it arrived at, over ``transport``; ``natted`` whether it showed a NAT.
    ``made_at`` and ``expires_at`` are in seconds of the trial. ``listed`` is the URI that a 200 lists, if it
    lists another one than ``contact``.
    """

    contact: bytes
    received: Endpoint | None
    local: Endpoint
    expires_at: float
    call_id: bytes
    cseq: int
    source: Endpoint
    natted: bool
    made_at: float
    timer: Timer | None = None
    transport: SipTransport = "udp"
    listed: bytes | None = None


class _Change(NamedTuple):
    """What a REGISTER wants of one Contact: ``uri`` as it is stored; ``old``: the binding that it has."""

    uri: bytes
    listed: bytes | None
    expires: int
    old: Binding | None
    natted: bool


Registered = Callable[[str, Binding, Incoming, float], None]
"""``registered(aor, binding, request, now)``: a phone has registered, or has refreshed its registration."""


class Registrar:
    """Registrations of one server; ``bindings`` maps an address-of-record to its bindings, oldest first.

    ``overloaded``: while true, REGISTERs are refused with 503, and existing bindings stay.
    """

    def __init__(self, server: ServerCore) -> None:
        self._server = server
        self.watchers: list[Registered] = []
        self.overloaded = False
        self.bindings: dict[str, list[Binding]] = {}

    def lookup(self, user: str) -> list[Binding]:
        """The bindings of a user of the domain."""
        return list(self.bindings.get(self._server.aor(user), ()))

    def on_register(self, transaction: ServerTransaction, now: float) -> None:
        """Process a REGISTER, in the order of section 10.3."""
        server = self._server
        request = transaction.request
        if self.overloaded:
            server.reject(transaction, 503, now, "the registrar is overloaded")
            return
        if server.config.foreign_request_uri != "save" and not server.is_own_domain(request.uri):
            facts = Facts(part="start line", value=_shown(request.uri))
            server.reject(transaction, 404, now, f"{facts.value} is not a domain of this server", facts=facts)
            return
        verdict = server.authenticate(transaction, now)
        if verdict is None:
            return
        to = uri_of(name_addr_of(request.value(b"to")).uri)
        user = to.user.decode("utf-8", "backslashreplace") if to is not None else ""
        if to is None or not server.accepts(to) or user not in server.config.users:
            facts = Facts(part="To", value=_shown(request.value(b"to")))
            server.reject(transaction, 404, now, f"{facts.value} is nobody here", facts=facts)
        elif user != verdict:
            server.reject(transaction, 403, now, f"{verdict} may not register {user}")
        elif server.config.validation == "forgiving" and (broken := unreadable_contact(request.message)):
            facts = Facts(part="Contact", rule=broken.rule)
            server.reject(transaction, 400, now, broken.sentence, facts=facts)
        else:
            self._update(transaction, server.aor(user), now)

    def _update(self, transaction: ServerTransaction, aor: str, now: float) -> None:
        server, config = self._server, self._server.config
        request = transaction.request
        contacts = request.values(b"contact")
        if config.bad_port == "drop":  # an unreadable Contact is ignored: the REGISTER becomes a query
            contacts = [each for each in contacts if each == b"*" or _is_readable(name_addr_of(each).uri)]
        longest = config.max_expires or _DEFAULT_EXPIRES
        general = _seconds(request.value(b"expires"), longest)
        known = self.bindings.get(aor, [])
        if contacts == [b"*"]:
            if general != 0:
                facts = Facts(part="Contact", reference="RFC 3261 10.3")
                why = "Contact: * without Expires: 0 (RFC 3261 10.3)"
                server.reject(transaction, 400, now, why, facts=facts)
            elif config.old_cseq != "accept" and self._is_old(known, request):
                server.reject(transaction, config.old_cseq, now, *_OLD_CSEQ)
            else:
                for binding in list(known):
                    self._remove(aor, binding, EventKind.UNREGISTERED, now)
                self._confirm(transaction, aor, now)
            return
        changes: list[_Change] = []
        for value in contacts:
            address = name_addr_of(value)
            own = address.parameters.get(b"expires")
            expires = general if own is None else _seconds(own, longest)
            if 0 < expires < config.min_expires:
                if config.short_expires == "reject":
                    minimum = b"Min-Expires: %d\r\n" % config.min_expires
                    server.reject(transaction, 423, now, f"{expires} s is too brief", minimum)
                    return
                expires = config.min_expires
            natted = server.is_natted(request, address.uri)
            if config.natted_expires and natted:
                expires = min(expires, config.natted_expires)
            uri, listed = self._stored(address.uri, request)
            old = next((each for each in known if self._is_same(each.contact, uri)), None)
            if old is not None and config.old_cseq != "accept" and self._is_old([old], request):
                if config.old_cseq == 400 and old.cseq == request.cseq and now - old.made_at < _SAME_REQUEST:
                    continue
                server.reject(transaction, config.old_cseq, now, *_OLD_CSEQ)
                return
            changes.append(_Change(uri, listed, min(expires, config.max_expires or expires), old, natted))
        over = len(known) + sum(each.old is None for each in changes) - config.max_contacts
        if config.max_contacts and over > 0:
            if config.max_contacts_over != "replace":
                why = f"more than {config.max_contacts} contacts for {aor}"
                facts = Facts(part="Contact")
                server.reject(transaction, config.max_contacts_over, now, why, facts=facts)
                return
            kept = [each.old for each in changes]
            for binding in [each for each in known if each not in kept][:over]:
                self._remove(aor, binding, EventKind.UNREGISTERED, now)
        for each in changes:
            if each.expires:
                self._bind(aor, each, request, now)
            elif each.old is not None:
                self._remove(aor, each.old, EventKind.UNREGISTERED, now)
        self._confirm(transaction, aor, now)

    @staticmethod
    def _is_old(bindings: list[Binding], request: Incoming) -> bool:
        """Whether a REGISTER with the same Call-ID and this CSeq or a later one was here before."""
        return any(each.call_id == request.call_id and each.cseq >= request.cseq for each in bindings)

    def _stored(self, uri: bytes, request: Incoming) -> tuple[bytes, bytes | None]:
        """A Contact URI as it is stored, and as a 200 lists it if it lists another one.

        A URI that can't be read is stored as it is. What is rewritten is so as Asterisk does it: a 200 lists
        the phone's own URI where the host was replaced, and the stored one where only the port was
        (res_pjsip_nat.c; evidence/endpoints-servers.md).
        """
        found = uri_of(uri)
        if self._server.config.store != "rewrite-contact" or found is None or next_hop(uri) == request.source:
            return uri, None
        head, at, tail = uri.partition(b"@")
        head, tail = (head + at, tail) if at else (found.scheme + b":", uri[len(found.scheme) + 1 :])
        end = min((place for place in (tail.find(b";"), tail.find(b"?")) if place >= 0), default=len(tail))
        only_port = found.host == request.source.ip.encode()
        return head + hostport(request.source) + tail[end:], None if only_port else uri

    def _is_same(self, one: bytes, other: bytes) -> bool:
        """Whether a Contact is that of a binding."""
        match = self._server.config.binding_match
        return match == "user" or one == other or (match == "uri" and _same_uri(one, other))

    def _bind(self, aor: str, change: _Change, request: Incoming, now: float) -> None:
        uri, listed, expires, old, natted = change
        store = self._server.config.store
        received = None
        away = store == "source" and next_hop(uri) != request.source
        if away or (store == "source-if-nat" and natted) or b"path" in request.heads:
            received = request.source
        binding = Binding(
            uri,
            received,
            request.local,
            now + expires,
            request.call_id,
            request.cseq,
            request.source,
            natted,
            now,
        )
        binding.transport = request.transport
        binding.listed = listed
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
            b"Contact: <%b>;expires=%d\r\n" % (each.listed or each.contact, round(each.expires_at - now))
            for each in self.bindings.get(aor, ())
        ]
        transaction.reply(200, now, headers=b"".join(lines) + self._server.server_line)


def _seconds(value: bytes, default: int) -> int:
    """A delta-seconds value; an unreadable one counts as ``default`` (section 10.3, step 6)."""
    return int(value) if value.isdigit() and len(value) <= 10 else default


def _is_readable(uri: bytes) -> bool:
    found = uri_of(uri)
    return found is not None and (found.port is None or found.port < 65536)


def _same_uri(one: bytes, other: bytes) -> bool:
    """Comparison by RFC 3261 section 19.1.4, for the parts that these servers' URIs have."""
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
