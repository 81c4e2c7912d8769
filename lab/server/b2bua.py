"""A back-to-back user agent: a user agent towards either side (RFC 3261 section 6, RFC 7092).

The rules of this file:

- The proxy's code decides who a request is for and who may send it. It also forks, runs timer C and chooses
  among the answers.
- A call is two dialogs (``bridged_call``). The server answers the caller with a tag of its own, and repeats
  its 200 until the ACK arrives; without an ACK the call ends after 32 s. It acknowledges the callee's 200 at
  once. But if that 200 has the offer, the caller's ACK has the answer, and the callee's ACK waits for it.
- A BYE is answered at once and sent on. Every other request within a call (re-INVITE, UPDATE, INFO, PRACK,
  REFER, NOTIFY...) goes to the other side, whose answer comes back.
- The server carries out no transfers: a REFER goes to the other side, which places the new call.
- ``direct_media``: when the call is up, the server asks each side in a re-INVITE to send media to the
  endpoint in the other side's description. A NAT or an ALG may have made that endpoint useless.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from siplab.lab.media.relay import MediaRelay, is_description
from siplab.lab.server.bridged_call import (
    BridgedCall,
    Leg,
    Unacknowledged,
    Way,
    own_contact,
    own_routes,
    passed_lines,
    raised,
    replaced_by,
    request_within,
    way_to,
)
from siplab.lab.server.core import ServerCore
from siplab.lab.server.forwarding import Forwarding, Target
from siplab.lab.server.notifier import Notifier
from siplab.lab.server.proxy import Proxy, Refusal
from siplab.lab.server.registrar import Registrar
from siplab.lab.sip.dialog import contact_uri, next_hop
from siplab.lab.sip.events import EventKind, Facts
from siplab.lab.sip.messages import (
    SDP_TYPE,
    Incoming,
    Request,
    hostport,
    line_of,
    name_addr_of,
    protocol_of,
    token,
    uri_of,
)
from siplab.lab.sip.repeater import Repeater
from siplab.lab.sip.transaction_fsm import Answered, ClientTransaction, ServerTransaction
from siplab.lab.wire.ip import Endpoint

_AGAIN: Final = 2.0  # seconds after a 491 (RFC 3261 section 14.1)


class BackToBack(Proxy):
    """Replaces the proxy. ``legs``: every side of every call, by Call-ID and the server's tag."""

    def __init__(
        self, server: ServerCore, registrar: Registrar, notifier: Notifier, relay: MediaRelay | None
    ) -> None:
        super().__init__(server, registrar, notifier, relay)
        self.legs: dict[tuple[bytes, bytes], Leg] = {}

    # -- requests ----------------------------------------------------------------------------

    def on_request(self, transaction: ServerTransaction, now: float) -> None:
        """A request within one of the calls, or one whose target the proxy's code finds."""
        request = transaction.request
        if not request.to_tag:
            super().on_request(transaction, now)
            return
        leg = self._leg_of(request)
        if leg is None or leg.dialog is None:
            self.server.reject(transaction, 481, now, "there is no such call")
            return
        if request.cseq < leg.dialog.remote_cseq:
            self.server.reject(
                transaction, 500, now, "out of order (RFC 3261 12.2.2)", facts=Facts(part="CSeq")
            )
            return
        leg.dialog.remote_cseq = request.cseq
        leg.heard(request)
        if request.method == b"BYE":
            transaction.reply(200, now, headers=self.server.server_line)
            self.end(leg.call, now, but=leg)
            return
        peer = leg.call.other(leg)
        way = way_to(peer) if peer is not None else None
        if peer is None or way is None:
            self.server.reject(transaction, 480, now, "the other side can't be reached")
            return
        if (leg.asked or peer.asked) and request.method in (b"INVITE", b"UPDATE"):
            self.server.reject(transaction, 491, now, "a re-INVITE of the server's own is under way")
            return
        target = Target(way.uri, way.remote, peer.local, way.transport)
        Bridging(self, transaction, way.routes, leg).forward([target], now)

    def forward(
        self, transaction: ServerTransaction, routes: list[bytes], targets: list[Target], now: float
    ) -> None:
        """Begin a call, or forward a request that begins none."""
        request = transaction.request
        transaction.to_tag = token(self.layer.rng)
        call = BridgedCall(request.call_id, request.from_tag)
        called = uri_of(request.uri)
        leg = Leg(
            call,
            request.call_id,
            transaction.to_tag,
            request.local,
            request.source,
            request.transport,
            self._observes(natted=self.server.is_natted(request, _contact_of(request))),
            called.user if called is not None else b"",
        )
        leg.called(request, self.is_own_route)
        call.legs.append(leg)
        if request.method == b"INVITE":
            self.legs[leg.call_id, leg.tag] = leg
        Bridging(self, transaction, routes, leg).forward(targets, now)

    def _targets(self, request: Incoming, routes: list[bytes], local: Endpoint) -> list[Target] | Refusal:
        """As the proxy; but an INVITE with Replaces (RFC 3891) goes to the other side of the named call."""
        value = request.value(b"replaces")
        leg = self.legs.get(replaced_by(value)) if value else None
        peer = leg.call.other(leg) if leg is not None else None
        way = way_to(peer) if peer is not None else None
        if peer is None or way is None:
            found = super()._targets(request, routes, local)
            if isinstance(found, list) and any(self.server.is_own(each.remote) for each in found):
                # Via does not show this loop: a user who registers this server's own address would be called
                # without end.
                return Refusal(482, "the request leads to this server itself", Facts(part="Contact"))
            return found
        return [Target(way.uri, way.remote, peer.local, way.transport)]

    def replaces_line(self, request: Incoming) -> bytes:
        """The Replaces line with the other side's dialog; unchanged if the dialog is not the server's."""
        field = request.heads.get(b"replaces")
        if field is None:
            return b""
        leg = self.legs.get(replaced_by(field.value))
        peer = leg.call.other(leg) if leg is not None else None
        if peer is None or peer.dialog is None:
            return line_of(field)
        return b"Replaces: %b;to-tag=%b;from-tag=%b\r\n" % (
            peer.call_id,
            peer.dialog.remote_tag,
            peer.tag,
        )

    def on_ack(self, ack: Incoming, now: float) -> None:
        """An ACK to a 200 of this server."""
        leg = self._leg_of(ack)
        if leg is None:
            why = "ACK: no dialog has its Call-ID and tags (RFC 3261 12.2.2)"
            facts = Facts(method="ACK", part="Call-ID", reference="RFC 3261 12.2.2")
            self.server.note(now, EventKind.DISCARDED, why, facts)
        elif leg.unacknowledged is not None and leg.unacknowledged.cseq == ack.cseq:
            acknowledged = leg.unacknowledged.acknowledged
            leg.settle()
            acknowledged(ack, now)

    def _leg_of(self, message: Incoming) -> Leg | None:
        leg = self.legs.get((message.call_id, message.to_tag))
        same = leg is not None and leg.dialog is not None and leg.dialog.remote_tag == message.from_tag
        return leg if same else None

    def _observes(self, *, natted: bool) -> bool:
        """Whether requests to a side go to the endpoint from which its messages come."""
        store = self.server.config.store
        return store in ("source", "rewrite-contact") or (store == "source-if-nat" and natted)

    def is_own_route(self, route: bytes) -> bool:
        """Whether a Route value leads to this server."""
        hop = next_hop(name_addr_of(route).uri)
        return hop is not None and self.server.is_own(hop)

    # -- what is sent ------------------------------------------------------------------------

    def new_leg(self, call: BridgedCall, target: Target, caller: bytes) -> Leg:
        """A side that is about to be called; ``caller``: the calling user."""
        rng = self.layer.rng
        leg = Leg(
            call,
            token(rng),
            token(rng),
            target.local,
            target.remote,
            target.transport,
            self._observes(natted=target.natted),
            caller,
        )
        call.legs.append(leg)
        return leg

    def body_for(self, leg: Leg, message: Incoming, now: float) -> bytes:
        """The body of a message from the other side, as ``leg`` gets it."""
        config, call = self.server.config, leg.call
        whole = config.udp_length == "ignore"
        body = message.message.body if whole else message.body
        if not body or not is_description(message):
            return body
        by_caller = leg is not call.caller
        if by_caller or call.callee is not None:
            writer = call.caller if by_caller else call.callee
            assert writer is not None
            writer.description = body
        relay = self.relay
        if relay is not None and not call.direct and (call.natted or config.relay_when == "always"):
            changed = relay.rewrite(message, call.key, call.caller_tag, now, by_caller=by_caller, whole=whole)
            body = body if changed is None else changed
        return raised(body, leg.steps)

    def ask(
        self, leg: Leg, method: bytes, now: float, answered: Answered, lines: bytes = b"", body: bytes = b""
    ) -> None:
        """Send a request of the server's own to a side."""
        way, dialog = way_to(leg), leg.dialog
        if way is None or dialog is None:
            facts = Facts(method=method.decode())
            self.server.note(now, EventKind.UNROUTABLE, f"{facts.method}: no way to the phone", facts)
            return
        dialog.local_cseq += 1
        lines += self.server.server_line
        branch = self.layer.branch()
        request = request_within(leg, way, method, dialog.local_cseq, branch, lines, body)
        self.layer.request(request, leg.local, way.remote, now, answered)

    def acknowledge(
        self, leg: Leg, cseq: int, now: float, lines: bytes = b"", body: bytes = b""
    ) -> Callable[[float], None]:
        """ACK a side's 200 to the INVITE with that CSeq. Returns a function that sends the same ACK again."""
        way = way_to(leg)
        if way is None:
            self.server.note(now, EventKind.UNROUTABLE, "ACK: no way to the phone", Facts(method="ACK"))
            return lambda later: None
        ack = request_within(leg, way, b"ACK", cseq, self.layer.branch(), lines, body)
        send = partial(self.layer.carry, way.transport, leg.local, way.remote, ack.wire)
        send(now)
        return send

    # -- media without the server ------------------------------------------------------------

    def go_direct(self, call: BridgedCall, now: float) -> None:
        """Have the sides send their media to each other: first ask the callee, then the caller."""
        caller, callee = call.caller, call.callee
        if callee is not None and caller.description and callee.description:
            call.direct = True
            self._point(callee, caller, now, lambda later: self._point(caller, callee, later, _ignore_time))

    def _point(self, leg: Leg, at: Leg, now: float, then: Callable[[float], None]) -> None:
        """Ask a side to send media to the endpoint in the other side's description."""
        acks: list[Callable[[float], None]] = []

        def answered(_: ClientTransaction, status: int, response: Incoming | None, later: float) -> None:
            if status < 200:
                return
            if acks:
                acks[0](later)
                return
            leg.asked = False
            if response is not None and status < 300:
                leg.heard(response)
                acks.append(self.acknowledge(leg, response.cseq, later))
                then(later)
            elif status == 491:
                self.layer.timers.start(later + _AGAIN, again)
            else:
                self.server.note(later, EventKind.NOT_CHANGED, f"direct media: {status}", Facts(status))

        def again(argument: object, later: float) -> None:
            if (leg.call_id, leg.tag) in self.legs:
                self._point(leg, at, later, then)

        leg.asked = True
        leg.steps += 1
        lines = (
            own_contact(leg, self.server) + leg.call.timer_lines(leg) + b"Content-Type: " + SDP_TYPE + b"\r\n"
        )
        self.ask(leg, b"INVITE", now, answered, lines, raised(at.description, leg.steps))

    # -- the end -----------------------------------------------------------------------------

    def end(self, call: BridgedCall, now: float, but: Leg | None = None) -> None:
        """Hang up both sides, except for the one that has hung up itself (``but``)."""
        if call.callee is None and call.cancel is not None:
            call.cancel(now)
        for leg in call.legs:
            if leg is not but and leg in (call.caller, call.callee):
                self.ask(leg, b"BYE", now, _ignore)
        self.forget(call)
        self.end_call(call.key, now)

    def forget(self, call: BridgedCall) -> None:
        """A call is over, or was never set up."""
        for leg in call.legs:
            leg.settle()
            self.legs.pop((leg.call_id, leg.tag), None)


class Bridging(Forwarding):
    """A request of one side, and its copies to the other side or to each phone of the called user."""

    __slots__ = ("_ack", "_agent", "_from", "_legs", "_taken")

    def __init__(
        self, agent: BackToBack, transaction: ServerTransaction, routes: list[bytes], leg: Leg
    ) -> None:
        super().__init__(agent, transaction, routes)
        self._agent = agent
        self._from = leg
        self._key = leg.call.key
        self._natted = leg.call.natted
        self._legs: dict[bytes, Leg] = {}  # the sides that got a copy, by Call-ID
        self._taken: Leg | None = None  # the side that answered 200
        self._ack: Callable[[float], None] | None = None
        if self._begins:
            leg.call.cancel = self.cancel

    @property
    def _begins(self) -> bool:
        """Whether it begins a call."""
        request = self.transaction.request
        return request.method == b"INVITE" and not request.to_tag

    def _copy(self, target: Target, now: float) -> Request:
        request, agent, call = self.transaction.request, self._agent, self._from.call
        call.natted = self._natted
        leg = call.other(self._from) if request.to_tag else None
        if leg is None:
            caller = uri_of(name_addr_of(request.value(b"from")).uri)
            leg = agent.new_leg(call, target, caller.user if caller is not None else b"")
        self._legs[leg.call_id] = leg
        asserted = agent.asserted_lines(request)
        lines = passed_lines(request, (b"p-asserted-identity",) if asserted else ()) + asserted
        lines += agent.replaces_line(request)
        if b"contact" in request.heads:
            lines += own_contact(leg, agent.server)
        if self._begins:
            agent.legs[leg.call_id, leg.tag] = leg
            lines = own_routes(leg, agent.server) + lines
        lines += agent.timer_lines(request, natted=call.natted) + _rack_line(request, leg)
        body = agent.body_for(leg, request, now)
        hops = request.value(b"max-forwards")
        left = max(int(hops[:3]) - 1, 0) if hops.isdigit() else 70
        branch = agent.layer.branch()
        if leg.dialog is None:
            copy = self._first(leg, target, branch).compose(lines, body, hops=left)
        else:
            leg.dialog.local_cseq += 1
            way = Way(target.uri, self._routes, target.remote, target.transport)
            copy = request_within(leg, way, request.method, leg.dialog.local_cseq, branch, lines, body, left)
        if request.method == b"INVITE":
            leg.invited = copy.cseq
        return copy

    def _first(self, leg: Leg, target: Target, branch: bytes) -> Request:
        """A request outside dialogs."""
        server = self._agent.server
        user, domain = leg.shown + b"@" if leg.shown else b"", server.config.domain.encode()
        return Request(
            self.transaction.request.method,
            target.uri,
            sent_by=target.local,
            branch=branch,
            via=protocol_of(target.transport) + hostport(target.local) + b";branch=" + branch,
            from_=b"<sip:" + user + domain + b">;tag=" + leg.tag,
            from_tag=leg.tag,
            to=b"<" + target.uri + b">",
            call_id=leg.call_id,
            cseq=1,
            routes=b"".join([b"Route: " + each + b"\r\n" for each in self._routes]),
        )

    # -- answers -----------------------------------------------------------------------------

    def _pass_on(
        self, status: int, response: Incoming, now: float, branch: ClientTransaction | None = None
    ) -> None:
        leg = self._legs.get(branch.request.call_id) if branch is not None else None
        request = self.transaction.request
        if leg is not None and response.to_tag and request.method != b"BYE":
            if self._begins:
                leg.answered(response, self._agent.is_own_route)
            else:
                leg.heard(response)
        if leg is not None and request.method == b"INVITE" and 200 <= status < 300:
            self._accept(status, response, leg, now)
            return
        self._reply(status, response, now)

    def _reply(self, status: int, response: Incoming, now: float) -> bytes:
        """Answer with the other side's answer; returns the bytes sent."""
        agent, call, request = self._agent, self._from.call, self.transaction.request
        lines = passed_lines(response)
        if status < 300 and b"contact" in response.heads:
            lines += own_contact(self._from, agent.server)
        else:  # in a 3xx Contact is somebody else's
            lines += b"".join([line_of(each) for each in response.message.all(b"contact")])
        if self._begins and status < 300:
            routes = own_routes(self._from, agent.server, to_caller=True)
            lines = (
                b"".join([line_of(each) for each in request.message.all(b"record-route")]) + routes + lines
            )
        asked = agent.timer_answer_lines(request, response, natted=call.natted)
        lines += asked
        if 200 <= status < 300 and request.method in (b"INVITE", b"UPDATE"):
            self._settle_timer(response.value(b"session-expires") or asked.partition(b":")[2])
        body = agent.body_for(self._from, response, now)
        wire = self.transaction.reply(status, now, headers=lines, body=body)
        self._tell_watchers(status, now)
        return wire

    def _settle_timer(self, value: bytes) -> None:
        """Store what a 2xx says of the session timer: interval and refresher (RFC 4028 section 7.2)."""
        call, other = self._from.call, self._from.call.other(self._from)
        seconds = value.partition(b";")[0].strip()
        call.session = int(seconds[:9]) if seconds.isdigit() else 0
        call.refresher = other if b"refresher=uas" in value.lower() else self._from

    def _accept(self, status: int, response: Incoming, leg: Leg, now: float) -> None:
        """A 2xx to an INVITE: acknowledge it, and answer the side that sent the INVITE."""
        agent, call = self._agent, self._from.call
        if self._taken is leg:  # a repeated 2xx
            if self._ack is not None:
                self._ack(now)
            return
        if self._taken is not None:  # another phone was first (RFC 3261 section 13.2.2.4)
            agent.acknowledge(leg, response.cseq, now)
            agent.ask(leg, b"BYE", now, _ignore)
            return
        self._taken = leg
        if self._begins:
            call.callee = leg
        if self.transaction.request.body:
            self._ack = agent.acknowledge(leg, response.cseq, now)
        wire = self._reply(status, response, now)
        repeater = Repeater(agent.layer.timers, self.transaction, wire, now, self._never_acknowledged)
        self._from.settle()
        self._from.unacknowledged = Unacknowledged(
            self.transaction.request.cseq, repeater, self._acknowledged
        )

    def _acknowledged(self, ack: Incoming, now: float) -> None:
        agent, leg = self._agent, self._taken
        assert leg is not None
        if self._ack is None:  # the answer to the offer in the 200
            body = agent.body_for(leg, ack, now)
            self._ack = agent.acknowledge(leg, leg.invited, now, passed_lines(ack), body)
        if self._begins and agent.server.config.direct_media:
            agent.go_direct(leg.call, now)

    def _never_acknowledged(self, now: float) -> None:
        why = "the 200 was never acknowledged (RFC 3261 13.3.1.4)"
        facts = Facts(200, "INVITE", reference="RFC 3261 13.3.1.4")
        self._agent.server.note(now, EventKind.NO_ACK, why, facts)
        self._agent.end(self._from.call, now)

    def _give_best(self, status: int, response: Incoming | None, now: float) -> None:
        super()._give_best(status, response, now)
        if self._begins:
            self._agent.forget(self._from.call)


def _rack_line(request: Incoming, leg: Leg) -> bytes:
    """A PRACK's RAck line, with the CSeq of the INVITE that the other side got (RFC 3262 section 7.2)."""
    words = request.value(b"rack").split()
    return b"RAck: %b %d %b\r\n" % (words[0], leg.invited, words[2]) if len(words) == 3 else b""


def _contact_of(request: Incoming) -> bytes:
    return contact_uri(request) if b"contact" in request.heads else b""


def _ignore(_: ClientTransaction, status: int, response: Incoming | None, now: float) -> None:
    """The call is over, whatever the answer is."""


def _ignore_time(now: float) -> None:
    """Nothing follows."""
