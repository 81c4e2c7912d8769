"""A stateful proxy: RFC 3261 section 16, record-routing, with double record-route (RFC 5658).

The rules of this file:

- One ``Forwarding`` (``forwarding.py``) is the response context of one request (section 16.2).
- Forwarding edits the received message (top Via, Max-Forwards, Route, our own credentials, Contact alias) and
  keeps every other byte. So the far end can still see what a router did.
- With ``alias`` the server also helps phones behind NAT in their dialogs: it notes the source in the Contact
  (``contact_alias``), and sends requests with such a note to the endpoint in it.
"""

from __future__ import annotations

import zlib
from typing import Final, NamedTuple

from siplab.lab.media.relay import MediaRelay
from siplab.lab.server import contact_alias
from siplab.lab.server.contact_alias import Alias
from siplab.lab.server.core import PRIVATE_OWN, ServerCore
from siplab.lab.server.forwarding import Forwarding, Target
from siplab.lab.server.notifier import Notifier
from siplab.lab.server.registrar import Registrar
from siplab.lab.sip.base import SipTransport
from siplab.lab.sip.dialog import next_hop
from siplab.lab.sip.events import EventKind, Facts
from siplab.lab.sip.messages import (
    Incoming,
    Request,
    endpoint_at,
    hostport,
    name_addr_of,
    protocol_of,
    transport_of,
    transport_parameter,
    uri_of,
    vias_in,
)
from siplab.lab.sip.transaction_fsm import ServerTransaction
from siplab.lab.wire.headers import split_list
from siplab.lab.wire.ip import Endpoint, is_private
from siplab.lab.wire.sip import Field

# Requests that may create a dialog, in whose path the proxy stays (section 16.6).
_RECORD_ROUTED: Final = frozenset({b"INVITE", b"SUBSCRIBE", b"REFER"})


class Refusal(NamedTuple):
    """Why a request has no target."""

    status: int
    reason: str
    facts: Facts


class Proxy:
    """Forwards requests that are not for the server itself."""

    def __init__(
        self, server: ServerCore, registrar: Registrar, notifier: Notifier, relay: MediaRelay | None
    ) -> None:
        self.server = server
        self.layer = server.layer
        self.notifier = notifier
        self._registrar = registrar
        self.relay = relay

    # -- requests ----------------------------------------------------------------------------

    def on_request(self, transaction: ServerTransaction, now: float) -> None:
        """Validate (section 16.3), route (16.4, 16.5) and forward (16.6) a request."""
        request = transaction.request
        server = self.server
        hops = request.value(b"max-forwards")
        if hops.isdigit() and int(hops[:3]) == 0:
            server.reject(transaction, 483, now, "Max-Forwards is 0", facts=Facts(part="Max-Forwards"))
            return
        if self._has_looped(request):
            server.reject(transaction, 482, now, "this request was here before")
            return
        if b"proxy-require" in request.heads:
            value = request.value(b"proxy-require")
            server.reject(
                transaction, 420, now, f"Proxy-Require: {_shown(value)}", b"Unsupported: " + value + b"\r\n"
            )
            return
        if (
            request.method == b"INVITE"
            and not request.to_tag
            and server.config.challenge_invite
            and server.authenticate(transaction, now, proxy=True) is None
        ):
            return
        if server.config.flow_tied and self._is_off_flow(request):
            why = f"{request.source} is not where the caller's REGISTER came from"
            server.reject(transaction, 403, now, why)
            return
        routes, local = self._take_own_routes(request)
        targets = self._targets(request, routes, local)
        if isinstance(targets, Refusal):
            server.reject(transaction, targets.status, now, targets.reason, facts=targets.facts)
            return
        self.forward(transaction, routes, targets, now)

    def forward(
        self, transaction: ServerTransaction, routes: list[bytes], targets: list[Target], now: float
    ) -> None:
        """Send a request on to its targets."""
        Forwarding(self, transaction, routes).forward(targets, now)

    def on_ack(self, ack: Incoming, now: float) -> None:
        """Forward the ACK of a 2xx, which belongs to no transaction (section 16.11)."""
        hops = ack.value(b"max-forwards")
        routes, local = self._take_own_routes(ack)
        uri, text = uri_of(ack.uri), _shown(ack.uri)
        facts = Facts(method="ACK", part="start line", value=text)
        if (
            uri is not None
            and not routes
            and self.server.is_own_host(uri.host)
            and b"alias" not in uri.parameters
        ):
            self.server.note(now, EventKind.DISCARDED, f"ACK to {text}: no transaction and no route", facts)
            return
        targets = self._targets(ack, routes, local)
        if isinstance(targets, Refusal) or (hops.isdigit() and int(hops[:3]) == 0) or self._has_looped(ack):
            self.server.note(now, EventKind.DISCARDED, f"ACK to {text} can't be forwarded", facts)
            return
        for target in targets:
            copy = self.copy(ack, target, routes, now)
            self.layer.carry(target.transport, target.local, target.remote, copy.wire, now)
            facts = Facts(method="ACK", remote=target.remote)
            self.server.note(now, EventKind.FORWARDED, f"ACK to {target.remote}", facts)

    def _is_off_flow(self, request: Incoming) -> bool:
        """Whether an INVITE outside dialogs comes from elsewhere than its user's REGISTERs."""
        if request.method != b"INVITE" or request.to_tag:
            return False
        caller = uri_of(name_addr_of(request.value(b"from")).uri)
        user = caller.user.decode("utf-8", "backslashreplace") if caller is not None else ""
        return all(each.source != request.source for each in self._registrar.lookup(user))

    def _has_looped(self, request: Incoming) -> bool:
        """Whether our Via shows that the request was here with the same routing (section 16.3, step 4)."""
        for field in request.message.fields:
            if field.name == b"via":
                for via in vias_in(field.value):
                    sender = endpoint_at(via.sent_by.host, via.sent_by.port)
                    if sender is None or not self.server.is_own(sender):
                        continue
                    if via.branch.endswith(_loop_mark(request)):
                        return True
        return False

    def _take_own_routes(self, request: Incoming) -> tuple[list[bytes], Endpoint]:
        """The Route values without our own ones on top, and the endpoint that will send the request.

        With double record-routing the last of our values names the far side's endpoint.
        """
        local = request.local
        routes = request.values(b"route")
        while routes:
            hop = next_hop(name_addr_of(routes[0]).uri)
            if hop is None or not self.server.is_own(hop):
                break
            local = hop if hop != PRIVATE_OWN else local
            del routes[0]
        return routes, local

    def _targets(self, request: Incoming, routes: list[bytes], local: Endpoint) -> list[Target] | Refusal:
        """The target set (section 16.5); never empty."""
        text = request.uri
        uri, facts = uri_of(text), Facts(part="start line", value=_shown(text))
        if uri is None:
            return Refusal(416, f"{_shown(text)} is no SIP URI", facts)
        config = self.server.config
        aliased = config.alias != "never"
        alias = contact_alias.read(uri.parameters.get(b"alias", b"")) if aliased else None
        if routes:
            hop = next_hop(name_addr_of(routes[0]).uri)
            if hop is None:
                value = _shown(routes[0])
                return Refusal(404, f"Route {value} can't be resolved", Facts(part="Route", value=value))
            return [Target(text, hop, local, transport_of(name_addr_of(routes[0]).uri))]
        if alias is not None:
            return [Target(contact_alias.without(text), alias.endpoint, local, alias.transport)]
        user = uri.user.decode("utf-8", "backslashreplace")
        # Kamailio's lookup() looks for the user alone, whatever the domain.
        ours = config.foreign_request_uri == "save" and not request.to_tag and user in config.users
        if not ours and not self.server.is_own_host(uri.host):
            hop = next_hop(text)
            if hop is None:
                return Refusal(*self._nowhere(text, 404), facts)
            return [Target(text, hop, local, transport_of(text))]
        if config.upstream is not None:
            return [Target(text, config.upstream, local, request.transport)]
        return self._located(user, local)

    def _nowhere(self, uri: bytes, otherwise: int) -> tuple[int, str]:
        """Status and reason for a URI that can't be resolved: 479 if malformed or with an impossible port."""
        found = uri_of(uri)
        broken = found is None or (found.port is not None and found.port > 65535)
        lax = self.server.config.bad_port != "reject"
        return 479 if broken and lax else otherwise, f"{_shown(uri)} can't be resolved"

    def _located(self, user: str, local: Endpoint) -> list[Target] | Refusal:
        if user not in self.server.config.users:
            return Refusal(404, f"there is no user {user!r}", Facts(part="start line", value=user))
        config = self.server.config
        targets: list[Target] = []
        known, aor = self._registrar.lookup(user), self.server.aor(user)
        for binding in known:
            remote = binding.received or next_hop(binding.contact)
            transport = transport_of(binding.contact)
            leaving = local
            if config.tcp_connect == "open" and binding.transport == "tcp":
                remote = next_hop(binding.contact)
                # A port of ours without a connection to the phone.
                others = [port for port in config.ports if port != binding.local.port]
                leaving = Endpoint(config.ip, others[0] if others else binding.local.port)
            elif binding.received or config.store in ("source", "rewrite-contact"):
                leaving = binding.local  # the NAT lets in packets from where the REGISTER went
                transport = binding.transport
            if config.calls_from:
                leaving = Endpoint(config.ip, config.calls_from)
            if remote is not None:
                targets.append(Target(binding.contact, remote, leaving, transport, binding.natted))
        if targets or not known:
            return targets or Refusal(480, f"{user} is not registered", Facts(aor=aor))
        return Refusal(*self._nowhere(known[0].contact, 480), Facts(aor=aor, part="Contact"))

    # -- forwarding --------------------------------------------------------------------------

    def copy(
        self, request: Incoming, target: Target, routes: list[bytes], now: float, *, natted: bool = False
    ) -> Request:
        """The request as sent to one target (section 16.6, steps 1 to 8).

        ``natted``: NAT was seen at one of the two sides.
        """
        branch = self.layer.branch() + _loop_mark(request)
        via = protocol_of(target.transport) + hostport(target.local) + b";branch=" + branch
        route_lines = b"".join([b"Route: " + route + b"\r\n" for route in routes])
        ours = route_lines
        if self.server.config.record_route and request.method in _RECORD_ROUTED and not request.to_tag:
            onward, back = (target.local, target.transport), (request.local, request.transport)
            ours += _record_route(*onward)
            private = self.server.config.private_own
            if private:
                ours += _record_route(PRIVATE_OWN, request.transport)
            if private or onward != back:  # RFC 5658: each side sees the endpoint that it talks to
                ours += _record_route(*back)
        ours += self.timer_lines(request, natted=natted)
        asserted = self.asserted_lines(request)
        ours += asserted
        if request.method == b"REGISTER" and self.server.config.upstream is not None:
            # A proxy with a private address is the customer's: nobody outside can call through it.
            ours += b"" if is_private(target.local.ip) else _path(target.local, target.transport)
        if b"max-forwards" not in request.heads:
            ours += b"Max-Forwards: 70\r\n"
        parts = [request.method, b" ", target.uri, b" SIP/2.0\r\nVia: ", via, b"\r\n"]
        message = request.message
        body = self._relayed(request, now, natted=natted)
        for field in message.fields:
            name = field.name
            if name == b"via":
                parts.append(field.raw)
                continue
            if ours:  # after the Vias, and above any existing Record-Route
                parts.append(ours)
                ours = b""
            if name == b"max-forwards":
                hops = field.value
                count = int(hops[:3]) - 1 if hops.isdigit() else 70
                parts.append(field.raw[: field.value_offset] + b"%d\r\n" % count)
            elif name == b"contact":
                minded = self.server.config.alias == "natted"
                seen = minded and self.server.is_natted(request, name_addr_of(field.value).uri)
                parts.append(self._with_alias(field, request, natted=seen))
            elif name == b"route" or (asserted and name == b"p-asserted-identity"):
                continue
            elif name == b"proxy-authorization" and self.server.authority.realm_of(
                field.value, self.server.realm_of(request)
            ):
                continue  # section 22.3: credentials for our realm are not needed any more
            elif body is not None and name == b"content-length":
                parts.append(field.raw[: field.value_offset] + b"%d\r\n" % len(body))
            else:
                parts.append(field.raw)
        parts += (message.separator, message.body if body is None else body)
        return Request(
            request.method,
            target.uri,
            sent_by=target.local,
            branch=branch,
            via=via,
            from_=request.value(b"from"),
            from_tag=request.from_tag,
            to=request.value(b"to"),
            call_id=request.call_id,
            cseq=request.cseq,
            routes=route_lines,
            wire=b"".join(parts),
        )

    def asserted_lines(self, request: Incoming) -> bytes:
        """The caller's identity as the provider knows it (RFC 3325 section 5); empty if it has no number."""
        if request.method != b"INVITE" or request.to_tag:
            return b""
        caller = uri_of(name_addr_of(request.value(b"from")).uri)
        user = caller.user.decode("utf-8", "backslashreplace") if caller is not None else ""
        number = self.server.config.numbers.get(user)
        if number is None:
            return b""
        return f"P-Asserted-Identity: <sip:{number}@{self.server.config.domain}>\r\n".encode()

    def strip(
        self,
        response: Incoming,
        now: float,
        *,
        request: Incoming,
        from_nat: bool,
        natted: bool,
    ) -> bytes:
        """A response without our Via on top, as it is sent on upstream (section 16.7, steps 3 and 8).

        ``from_nat``: it comes from a phone behind NAT. ``natted``: NAT was seen at one of the two sides.
        """
        message = response.message
        parts = [message.start_line]
        body = self._relayed(response, now, natted=natted)
        parts.append(self.timer_answer_lines(request, response, natted=natted))
        first = True
        for field in message.fields:
            if field.name == b"via" and first:
                first = False
                spans = split_list(field.value)
                if len(spans) > 1:
                    rest = field.value[spans[1][0] :].lstrip()
                    parts += (field.raw[: field.value_offset], rest, b"\r\n")
            elif field.name == b"contact" and response.status < 300:  # in a 3xx Contact is somebody else's
                if self.server.config.upstream is not None and response.method == b"REGISTER":
                    parts.append(contact_alias.bare(field))  # the note was for the registrar
                else:
                    parts.append(self._with_alias(field, response, natted=from_nat, request=request))
            elif body is not None and field.name == b"content-length":
                parts.append(field.raw[: field.value_offset] + b"%d\r\n" % len(body))
            else:
                parts.append(field.raw)
        parts += (message.separator, message.body if body is None else body)
        return b"".join(parts)

    def _relayed(self, message: Incoming, now: float, *, natted: bool) -> bytes | None:
        """The body with the relay's ports; ``None`` if nothing is relayed or there is no description."""
        relay, config = self.relay, self.server.config
        if relay is None or not (natted or config.relay_when == "always" or message.call_id in relay.calls):
            return None
        return relay.rewritten(message, now, whole=config.udp_length == "ignore")

    def timer_lines(self, request: Incoming, *, natted: bool) -> bytes:
        """The lines that this server adds to a request to get a session timer (RFC 4028 section 8.1)."""
        config = self.server.config
        asked = config.session_timer and (natted or not config.session_timer_natted)
        if not asked or request.method != b"INVITE" or b"session-expires" in request.heads:
            return b""
        return b"Session-Expires: %d\r\n" % config.session_timer

    def timer_answer_lines(self, request: Incoming, response: Incoming, *, natted: bool) -> bytes:
        """The lines that it adds to a 2xx if only the caller supports the timer (section 8.2)."""
        timed = b"session-expires" in response.heads or b"timer" not in request.value(b"supported")
        asked = self.timer_lines(request, natted=natted)
        if timed or not asked or not 200 <= response.status < 300:
            return b""
        return asked.rstrip() + b";refresher=uac\r\nRequire: timer\r\n"

    def end_call(self, call_id: bytes, now: float) -> None:
        """A call has ended."""
        self.notifier.end_call(call_id, now)
        self.release(call_id)

    def release(self, call_id: bytes) -> None:
        """A call has ended, or was never set up: stop relaying for it."""
        if self.relay is not None:
            self.relay.release(call_id)

    def _comes_straight(self, incoming: Incoming, request: Incoming | None) -> bool:
        """Whether the message came to this server without another proxy on the way.

        Another proxy's source endpoint is not where the message's writer can be reached. ``request``: the
        request that a response answers.
        """
        if request is None:
            return len(incoming.values(b"via")) == 1
        if self._take_own_routes(request)[0]:
            return False
        routes = incoming.values(b"record-route")
        hop = next_hop(name_addr_of(routes[0]).uri) if routes else None
        return hop is None or self.server.is_own(hop) or hop == PRIVATE_OWN

    def _with_alias(
        self, field: Field, incoming: Incoming, *, natted: bool, request: Incoming | None = None
    ) -> bytes:
        """A Contact line, with a note of the real source if its URI names another endpoint."""
        wanted = self.server.config.alias
        if wanted != "always" and not (wanted == "natted" and natted):
            return field.raw
        alias = Alias(incoming.source, incoming.transport)
        if contact_alias.needed(field, alias) and self._comes_straight(incoming, request):
            return contact_alias.noted(field, alias)
        return field.raw


def _loop_mark(request: Incoming) -> bytes:
    """The part of a branch that is the same if a request comes again unchanged (section 16.6, step 8)."""
    seen = b"|".join((request.uri, request.from_tag, request.to_tag, request.call_id))
    return b".%08x" % zlib.crc32(b"%b|%d" % (seen + request.value(b"route"), request.cseq))


def _record_route(endpoint: Endpoint, transport: SipTransport) -> bytes:
    return b"Record-Route: <sip:" + hostport(endpoint) + transport_parameter(transport) + b";lr>\r\n"


def _path(endpoint: Endpoint, transport: SipTransport) -> bytes:
    """The phone wants to be called through this proxy (RFC 3327)."""
    return b"Path: <sip:" + hostport(endpoint) + transport_parameter(transport) + b";lr>\r\n"


def _shown(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")
