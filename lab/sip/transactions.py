"""The transaction layer of an agent: which message belongs to which transaction.

The rules of this file:

- Responses are matched by branch and CSeq method (RFC 3261 section 17.1.3), requests by branch,
  sent-by and method (17.2.3). A response whose sent-by is not ours (18.1.2), or whose Call-ID, From tag
  or CSeq number is not the request's (8.2.6.2), is discarded, as far as the agent compares these.
- A message that breaks SIP's grammar fatally goes no further (the agent decides what is fatal). A request is
  answered 400 when it has a Via to answer to; a response or an ACK is dropped. An event says why.
- Actions are collected in one outbox, in their order; ``flush`` empties it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Container
from typing import Final, Literal, Protocol

from siplab.lab.sip.base import Action, Send, SipTransport
from siplab.lab.sip.events import NO_FACTS, EventKind, Facts
from siplab.lab.sip.messages import (
    BRANCH_COOKIE,
    DEFAULT_PORT,
    LONG_NAMES,
    Incoming,
    Names,
    ReplyTo,
    Request,
    address_text,
    hostport,
    response,
    token,
)
from siplab.lab.sip.pseudo_tls import seal, unseal
from siplab.lab.sip.streams import SipStreams
from siplab.lab.sip.timers import Timers
from siplab.lab.sip.transaction_fsm import (
    T1,
    T2,
    T4,
    TIMEOUT,
    AckUser,
    Answered,
    ClientTransaction,
    Key,
    On,
    ServerTransaction,
    State,
    Transaction,
    kind_of,
)
from siplab.lab.sip.tunnel import TunnelEnd
from siplab.lab.wire import syntax
from siplab.lab.wire.headers import Via
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage
from siplab.lab.wire.syntax import Violation

__all__ = [
    "T1",
    "T2",
    "T4",
    "TIMEOUT",
    "Answered",
    "ClientTransaction",
    "ServerTransaction",
    "State",
    "TransactionLayer",
    "TransactionUser",
]


Matched = Literal["branch", "method", "call-id", "from-tag", "from", "cseq", "sent-by"]
EVERYTHING: Final[tuple[Matched, ...]] = ("branch", "method", "call-id", "from-tag", "cseq", "sent-by")
UdpLength = Literal["ignore", "stream", "reject", "cut"]
"""What a Content-Length means over UDP. ``ignore``: nothing. ``stream``: missing bytes come from the next
datagram. ``reject``: it must be right (``fatal`` checks that). ``cut``: the body ends there at the latest
(RFC 3261 section 18.3).
"""


class TransactionUser(AckUser, Protocol):
    """The owner of a ``TransactionLayer``. It gets all that is no response to a request of its own."""

    def on_request(self, transaction: ServerTransaction, now: float) -> None:
        """A new request, ACK excepted. ``transaction.request`` is the message."""

    def note(self, now: float, kind: EventKind, detail: str = "", facts: Facts = NO_FACTS) -> None:
        """Record an event."""


class TransactionLayer:
    """All transactions of one agent.

    ``timers`` is shared with the agent, which starts its own timers there too.
    ``rport``: when responses go to the source of the request, see ``ReplyTo``. ``secure_port``: datagrams to
    or from that port of a server are sealed (``lab.sip.pseudo_tls``); 0: none.
    ``fatal``: gives the violation for which a message goes no further, if there is one. ``silent``: the rules
    for which even a request is dropped unanswered. ``wrap_ports``: a port in Via is taken modulo 65536.
    ``match``: where a response must equal its request. ``any_case``: a branch may differ in case.
    ``udp_length``: what a Content-Length means over UDP, see ``UdpLength``.
    """

    def __init__(
        self,
        user: TransactionUser,
        rng: random.Random,
        *,
        names: Names = LONG_NAMES,
        rport: ReplyTo = "asked",
        secure_port: int = 0,
        fatal: Callable[[SipMessage], Violation | None] = syntax.first_fatal,
        silent: Container[str] = frozenset(),
        wrap_ports: bool = False,
        match: Container[Matched] = EVERYTHING,
        any_case: bool = False,
        udp_length: UdpLength = "cut",
    ) -> None:
        self.user = user
        self.fatal = fatal
        self.silent = silent
        self.wrap_ports = wrap_ports
        self._match = match
        self._any_case = any_case
        self._udp_length = udp_length
        self._rest: dict[tuple[Endpoint, Endpoint], bytes] = {}  # of datagrams that are read as a stream
        self.rport = rport
        self.secure_port = secure_port
        self.rng = rng
        self.names = names
        self.timers = Timers()
        self.outbox: list[Action] = []
        self.streams: SipStreams | None = None  # of an agent that speaks TCP
        self.tunnel: TunnelEnd | None = None  # of an agent whose packets all go through one
        self.by_relay: Callable[[Endpoint, Endpoint, bytes], tuple[Endpoint, bytes] | None] | None = None
        """Gives destination and bytes of a datagram that goes by a media relay; ``None``: as it is."""
        self.style: Callable[[bytes], bytes] | None = None  # of an agent that spells messages in its own way
        self.clients: dict[Key, ClientTransaction] = {}
        self.servers: dict[Key, ServerTransaction] = {}

    # -- what the agent does ----------------------------------------------------------------

    def request(
        self, request: Request, local: Endpoint, remote: Endpoint, now: float, answered: Answered
    ) -> ClientTransaction:
        """Send a request (not an ACK) from ``local`` to ``remote``; ``answered`` gets the outcome."""
        key: Key = (self._named(request.branch), request.method)
        transaction = ClientTransaction(self, key, request, local, remote, answered)
        self.clients[key] = transaction
        transaction.transmit(request.wire, now)
        transaction.enter(State.CALLING if request.method == b"INVITE" else State.TRYING, now)
        return transaction

    def send(self, local: Endpoint, remote: Endpoint, wire: bytes) -> None:
        """Send a datagram outside any transaction, as media are."""
        way = self.by_relay(local, remote, wire) if self.by_relay is not None else None
        remote, wire = way if way is not None else (remote, wire)
        self.outbox.append(Send(local, remote, wire))

    def carry(
        self, transport: SipTransport, local: Endpoint, remote: Endpoint, wire: bytes, now: float
    ) -> None:
        """Send any message; over TCP or TLS, it goes by the connection between the two endpoints."""
        if self.style is not None:
            wire = self.style(wire)
        if transport == "udp":
            self.outbox.append(Send(local, remote, wire))
        elif self.streams is not None:
            self.streams.send(local, remote, wire, now, secure=transport == "tls")
        else:
            self.user.note(now, EventKind.NOT_SENT, "there is no TCP here", Facts(local=local, remote=remote))

    def _named(self, branch: bytes) -> bytes:
        """A branch as it stands in the keys of transactions."""
        return branch.lower() if self._any_case else branch

    def branch(self) -> bytes:
        """A new branch (RFC 3261 section 8.1.1.7)."""
        return BRANCH_COOKIE + token(self.rng)

    def invite_of(self, cancel: Incoming) -> ServerTransaction | None:
        """The INVITE transaction that a CANCEL is about (RFC 3261 section 9.2)."""
        via = cancel.via
        return self.servers.get(_server_key(cancel, via, b"INVITE")) if via is not None else None

    def flush(self) -> list[Action]:
        """The actions since the last call, for the world to carry out."""
        actions, self.outbox = self.outbox, []
        if self.secure_port:
            actions = [self._sealed(action) for action in actions]
        if self.tunnel is not None:
            actions = [self.tunnel.outward(action) for action in actions]
        return actions

    def _sealed(self, action: Action) -> Action:
        if isinstance(action, Send) and self.secure_port in (action.local.port, action.remote.port):
            return action._replace(payload=seal(action.payload))
        return action

    # -- what the world reports -------------------------------------------------------------

    def next_timer(self) -> float | None:
        return self.timers.next()

    def next_active_timer(self) -> float | None:
        return self.timers.next_active()

    def on_timer(self, now: float) -> None:
        self.timers.run(now)

    def receive_datagram(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> None:
        """Unseal a datagram where it should be sealed, and receive its message."""
        if self.secure_port and self.secure_port in (source.port, local.port):
            opened = unseal(payload)
            if opened is None:
                why = f"what came from {source} is not sealed, or was altered"
                self.user.note(now, EventKind.DISCARDED, why, Facts(local=local, remote=source))
                return
            payload = opened
        if self._udp_length == "stream":
            pieces, rest = _cut(self._rest.pop((source, local), b"") + payload)
            if rest:
                self._rest[source, local] = rest
            for piece in pieces:
                self.receive(SipMessage.parse(piece), source, local, now)
            return
        message = SipMessage.parse(payload)
        if self._udp_length == "ignore":
            message.fit_content_length()
        self.receive(message, source, local, now)

    def receive(
        self,
        message: SipMessage,
        source: Endpoint,
        local: Endpoint,
        now: float,
        transport: SipTransport = "udp",
    ) -> None:
        """Route a message to its transaction, or to the user as a new request."""
        incoming = Incoming(message, source, local, transport)
        if incoming.status:
            self._receive_response(incoming, now)
        elif incoming.method:
            self._receive_request(incoming, now)
        else:
            facts = Facts(local=local, remote=source)
            self.user.note(now, EventKind.IGNORED, f"not SIP, from {source}", facts)

    def unreachable(
        self, remote: Endpoint, local: Endpoint, now: float, transport: SipTransport = "udp"
    ) -> None:
        """An ICMP error about ``remote``: a transport error for requests under way (section 18.4).

        Over TCP and TLS, the end of the connection is such an error.
        """
        if transport == "udp":
            self.user.note(now, EventKind.UNREACHABLE, str(remote), Facts(local=local, remote=remote))
        for transaction in list(self.clients.values()):
            same = (transaction.transport == "udp") is (transport == "udp")
            if same and (transaction.remote, transaction.local) == (remote, local):
                transaction.fire(On.TRANSPORT_ERROR, None, now)

    def forget(self, transaction: Transaction) -> None:
        """Called by a transaction that has terminated."""
        known = self.clients if isinstance(transaction, ClientTransaction) else self.servers
        known.pop(transaction.key, None)

    def untie(self) -> None:
        """Drop all transactions and timers, which refer to the layer and its user."""
        self.clients.clear()
        self.servers.clear()
        self.timers.clear()

    # -- responses --------------------------------------------------------------------------

    def _receive_response(self, incoming: Incoming, now: float) -> None:
        violation = self.fatal(incoming.message)
        if violation is not None:
            self._discard(incoming, violation.sentence, _broken(violation), now)
            return
        via = incoming.via
        if via is None:
            facts = Facts(part="Via", reference="RFC 3261 18.1.2")
            self._discard(incoming, "no Via can be read", facts, now)
            return
        branch = self._named(via.branch)
        transaction = self.clients.get((branch, incoming.method))
        if transaction is None and "method" not in self._match:
            transaction = next((each for key, each in self.clients.items() if key[0] == branch), None)
        if transaction is None:
            shown = _text(via.branch)
            what = f"branch {shown} and method {_text(incoming.method)}"
            facts = Facts(part="Via", value=shown, reference="RFC 3261 17.1.3")
            self._discard(incoming, f"no transaction has {what}", facts, now)
            return
        request, match = transaction.request, self._match
        sent_by = via.sent_by
        if "sent-by" in match and (
            address_text(sent_by.host) != request.sent_by.ip
            or (DEFAULT_PORT if sent_by.port is None else sent_by.port) != request.sent_by.port
        ):
            part, what = "Via", "Via sent-by"
            value, wanted = incoming.value(b"via")[sent_by.start : sent_by.end], hostport(request.sent_by)
        elif "call-id" in match and incoming.call_id != request.call_id:
            part = what = "Call-ID"
            value, wanted = incoming.call_id, request.call_id
        elif "from-tag" in match and incoming.from_tag != request.from_tag:
            part, what = "From", "From tag"
            value, wanted = incoming.from_tag, request.from_tag
        elif "from" in match and incoming.value(b"from") != request.from_:
            part = what = "From"
            value, wanted = incoming.value(b"from"), request.from_
        elif "cseq" in match and incoming.cseq != request.cseq:
            part = what = "CSeq"
            value, wanted = b"%d" % incoming.cseq, b"%d" % request.cseq
        else:
            transaction.fire(kind_of(incoming.status), incoming, now)
            return
        reference = "RFC 3261 18.1.2" if part == "Via" else "RFC 3261 8.2.6.2"
        facts = Facts(part=part, value=_text(value), reference=reference)
        self._discard(incoming, f"{what} {_text(value)} is not {_text(wanted)}", facts, now)

    def _discard(self, incoming: Incoming, reason: str, facts: Facts, now: float) -> None:
        method = _text(incoming.method)
        what = f"{incoming.status} to {method}" if incoming.status else method
        facts = facts._replace(status=incoming.status, method=method)
        self.user.note(now, EventKind.DISCARDED, f"{what}: {reason} ({facts.reference})", facts)

    # -- requests ---------------------------------------------------------------------------

    def _receive_request(self, incoming: Incoming, now: float) -> None:
        violation = self.fatal(incoming.message)
        incoming.stamp_via(self.rport, wrap=self.wrap_ports)
        if violation is not None:
            self._refuse(incoming, violation, now)
            return
        via = incoming.via
        if via is None or incoming.reply_to is None:
            facts = Facts(part="Via", reference="RFC 3261 18.2.2")
            self._discard(incoming, "no Via that can be answered to", facts, now)
            return
        method = incoming.method
        is_ack = method == b"ACK"
        key = _server_key(incoming, via, b"INVITE" if is_ack else method)
        transaction = self.servers.get(key)
        if transaction is not None:
            transaction.fire(On.ACK if is_ack else On.REQUEST, incoming, now)
        elif is_ack:
            self.user.on_ack(incoming, None, now)
        else:
            self.servers[key] = transaction = ServerTransaction(self, key, incoming)
            transaction.enter(State.PROCEEDING if method == b"INVITE" else State.TRYING, now)
            self.user.on_request(transaction, now)

    def _refuse(self, incoming: Incoming, violation: Violation, now: float) -> None:
        """Answer a malformed request, without state: it may have no branch to remember it by."""
        if incoming.method == b"ACK" or incoming.reply_to is None or violation.rule in self.silent:
            self._discard(incoming, violation.sentence, _broken(violation), now)
            return
        phrase = " ".join(violation.sentence.split()).rstrip(".")
        wire = response(
            incoming,
            400,
            reason=b"Bad Request (" + phrase.encode("utf-8", "replace") + b")",
            to_tag=token(self.rng),
            names=self.names,
        )
        self.carry(incoming.transport, incoming.local, incoming.reply_to, wire, now)
        method = _text(incoming.method)
        why = f"400 to {method}: {violation.sentence} ({violation.reference})"
        facts = _broken(violation)._replace(status=400, method=method)
        self.user.note(now, EventKind.REJECTED, why, facts)


def _cut(data: bytes) -> tuple[list[bytes], bytes]:
    """The whole messages in ``data`` and the bytes of an unfinished one, as belle-sip reads datagrams.

    The headers end at an empty line of CRLF. The body ends after Content-Length bytes; without that header
    it ends with the data. Data that does not begin like text is not cut.
    """
    if data[:1] < b"\t":
        return [data], b""
    found: list[bytes] = []
    while data := data.lstrip(b"\r\n"):
        blank = data.find(b"\r\n\r\n")
        length = SipMessage.parse(data[: blank + 4]).content_length
        end = len(data) if length is None else blank + 4 + length
        if blank < 0 or end > len(data):
            return found, data
        found.append(data[:end])
        data = data[end:]
    return found, b""


def _broken(violation: Violation) -> Facts:
    return Facts(part=violation.header, rule=violation.rule, reference=violation.reference)


def _server_key(incoming: Incoming, via: Via, method: bytes) -> Key:
    if via.branch.startswith(BRANCH_COOKIE):
        port = DEFAULT_PORT if via.sent_by.port is None else via.sent_by.port
        return (via.branch, via.sent_by.host.lower(), port, method)
    # A branch without the cookie identifies nothing. RFC 3261 section 17.2.3 then compares as RFC 2543 did.
    sent_by = via.sent_by
    return (
        incoming.uri,
        incoming.from_tag,
        incoming.call_id,
        incoming.cseq,
        sent_by.host,
        sent_by.port,
        method,
    )


def _text(value: bytes) -> str:
    """Wire bytes inside a sentence."""
    return value.decode("utf-8", "backslashreplace")
