"""A phone: a user agent that registers, calls and is called (RFC 3261), with media and digest.

The rules of this file:

- It is strict: what breaks SIP's grammar, a transaction or a dialog has no effect but an event.
- Requests are dispatched by a method table; a later feature is a new entry there.
- It knows nothing of NAT: Contact, Via and SDP carry the address that it was configured with, or with
  ``stun`` the one that a STUN server saw.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, Final

from siplab.lab.media import dtmf
from siplab.lab.media.rtcp import rtcp_port
from siplab.lab.media.rtp_sender import RtpSender
from siplab.lab.media.session import Kind, MediaError, read
from siplab.lab.phone import instant_message, transfer
from siplab.lab.phone.address_discovery import AddressDiscovery
from siplab.lab.phone.call import Call, CallState
from siplab.lab.phone.call_in import IncomingCall
from siplab.lab.phone.call_out import OutgoingCall
from siplab.lab.phone.keepalive import KeepAlive
from siplab.lab.phone.phone_config import PhoneConfig
from siplab.lab.phone.quirks import styled
from siplab.lab.phone.registration import Registration, RegistrationState
from siplab.lab.phone.subscription import Subscription
from siplab.lab.sip.base import Action, Agent, Flow, Listen, Train
from siplab.lab.sip.dialog import DialogId, next_hop
from siplab.lab.sip.messages import (
    COMPACT_NAMES,
    DEFAULT_PORT,
    KNOWN_METHODS,
    LONG_NAMES,
    SDP_TYPE,
    Incoming,
    Request,
    hostport,
    protocol_of,
    token,
    transport_parameter,
    uri_of,
)
from siplab.lab.sip.streams import SipStreams
from siplab.lab.sip.transactions import ServerTransaction, TransactionLayer
from siplab.lab.wire.ip import Endpoint

__all__ = ["Phone", "PhoneConfig", "RegistrationState"]


class Phone(Agent):
    """A phone on one host: ``config.sip_port`` for SIP, ``config.rtp_port`` for media.

    ``calls`` has every call, in the order of their beginning; ``registration`` the state of that.
    ``inbox`` has sender and text of each MESSAGE that came, ``outbox`` target and final status of
    each that was sent.
    """

    def __init__(self, config: PhoneConfig, rng: random.Random) -> None:
        super().__init__()
        self.config = config
        self.rng = rng
        self.local = Endpoint(config.ip, config.sip_port)
        self.origin = Endpoint(config.ip, config.source_port or config.sip_port)  # of what we send
        self.rtp_local = Endpoint(config.ip, config.rtp_port)
        self.subscriptions: list[Subscription] = []
        self.inbox: list[tuple[str, str]] = []
        self.outbox: list[tuple[str, int]] = []
        self.names = COMPACT_NAMES if config.compact else LONG_NAMES
        self.layer = TransactionLayer(self, rng, names=self.names, secure_port=config.secure_port)
        if config.quirks:
            self.layer.style = partial(styled, quirks=config.quirks, ip=config.ip.encode())
        if config.transport == "tcp":
            lost = self._on_connection_lost
            self.layer.streams = SipStreams(self.layer, lost, mtu=config.mtu, framing=config.framing)
        self.calls: list[Call] = []
        self.dialogs: dict[DialogId, Call] = {}
        user = config.user.encode()
        self.aor = b"sip:" + user + b"@" + config.domain.encode()
        self.agent_line = b"User-Agent: " + config.user_agent.encode() + b"\r\n"
        self.allow_line = b"Allow: " + b", ".join((*self._methods, b"ACK")) + b"\r\n"
        options = ", ".join(config.extensions).encode()
        self.supported_line = b"Supported: " + options + b"\r\n" if options else b""
        self.allow_line += self.supported_line
        self.padding = b"Subject: " + b"x" * config.padding + b"\r\n" if config.padding else b""
        self.invite_lines = self.allow_line + self.agent_line + self.names.content_type + SDP_TYPE + b"\r\n"
        self._user = user
        self._host = config.ip.encode()
        self._announce(Endpoint(config.ip, config.announced_port or config.sip_port))
        self.discovery = AddressDiscovery(
            self.layer, rng, config.stun, config.keepalive_interval, self._on_mapped
        )
        seen = config.keepalive_interval
        self.ice_discovery = AddressDiscovery(self.layer, rng, config.ice_server, seen, self._on_candidate)
        self.keepalive = KeepAlive(self)
        self.registration = Registration(self)

    # -- commands ----------------------------------------------------------------------------

    def start(self, now: float) -> list[Action]:
        ports = [port for line in range(self.config.lines) for port in self.ports_of(line).values()]
        offset = self.config.rtp_source_offset
        ports += [port + offset for port in ports if offset]
        if self.config.rtcp:
            lines = range(self.config.lines)
            ports += [rtcp_port(port) for line in lines for port in self.ports_of(line).values()]
        media = [Endpoint(self.config.ip, port) for port in ports]
        if self.layer.streams is not None:
            sip = self.layer.streams.listen(self.local, self.origin)
            self.discovery.start(media, now)
            self.ice_discovery.start(media, now)
            return [*sip, *(Listen(each) for each in dict.fromkeys(media)), *self.layer.flush()]
        self.discovery.start([self.local, *media], now)
        self.ice_discovery.start(media, now)
        listened = dict.fromkeys([self.local, self.origin, *media])
        return [*(Listen(each) for each in listened), *self.layer.flush()]

    def register(self, now: float) -> list[Action]:
        """Register now, and keep registered."""
        self.discovery.when_settled(self.registration.register, now)
        return self.layer.flush()

    def unregister(self, now: float, *, everything: bool = False) -> list[Action]:
        """Remove the registration, with ``everything`` all of the user's (``Contact: *``)."""
        self.registration.unregister(now, everything=everything)
        return self.layer.flush()

    def call(self, target: str, now: float) -> list[Action]:
        """Call ``bob@lab.test`` or ``sip:bob@lab.test``; the call is ``calls[-1]``."""
        self.place(_uri(target), now)
        return self.layer.flush()

    def place(self, uri: bytes, now: float, headers: bytes = b"") -> OutgoingCall | None:
        """Begin a call with added header lines; ``None`` when no line is free."""
        if self.free_line() is None:
            self.note(now, "not-sent", "INVITE: no line is free")
            return None
        call = OutgoingCall(self, uri, now, headers)
        self.calls.append(call)
        self.discovery.when_settled(call.invite, now)
        return call

    def answer(self, now: float) -> list[Action]:
        """Answer the call that rings."""
        for call in self.calls:
            if isinstance(call, IncomingCall) and call.state is CallState.RINGING:
                call.answer(now)
                break
        return self.layer.flush()

    def hang_up(self, now: float, call: Call | None = None) -> list[Action]:
        """End a call (the latest that is not over): CANCEL, 603 or BYE."""
        call = call or self._current()
        if call is not None:
            call.hang_up(now)
        return self.layer.flush()

    def dial(self, call: Call, digits: str, now: float) -> list[Action]:
        """Send digits within a call, as telephone events (RFC 4733)."""
        dtmf.dial(call, digits, now)
        return self.layer.flush()

    def transfer(self, call: Call, target: str, now: float, *, replaced: Call | None = None) -> list[Action]:
        """Transfer ``call`` to somebody: blind, or attended in the place of our call ``replaced``."""
        transfer.refer(call, _uri(target), now, replaced)
        return self.layer.flush()

    def message(self, target: str, text: str, now: float) -> list[Action]:
        """Send a text (RFC 3428); ``outbox`` gets the target and the final status."""
        instant_message.send(self, target, _uri(target), text, now)
        return self.layer.flush()

    def subscribe(self, package: str, target: str, now: float, expires: int = 3600) -> list[Action]:
        """Subscribe to an event package (RFC 6665); the subscription is ``subscriptions[-1]``."""
        subscription = Subscription(self, package, _uri(target), expires)
        self.subscriptions.append(subscription)
        subscription.send(now)
        return self.layer.flush()

    # -- the world ---------------------------------------------------------------------------

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        if self.discovery.receive(payload, local, now) or self.ice_discovery.receive(payload, local, now):
            pass
        elif local != self.local:
            found = self._stream_at(local.port)
            if found is not None:
                call, kind = found
                if local.port == rtcp_port(call.ports[kind]):
                    call.media.report(kind, payload, source, now)
                else:
                    call.on_media(kind, payload, source, now)
        else:
            self.layer.receive_datagram(payload, source, local, now)
        return self.layer.flush()

    def receive_segment(self, packet: bytes, now: float) -> list[Action]:
        if self.layer.streams is not None:
            self.layer.streams.receive(packet, now)
        return self.layer.flush()

    def next_timer(self) -> float | None:
        return self.layer.next_timer()

    def on_timer(self, now: float) -> list[Action]:
        self.layer.on_timer(now)
        return self.layer.flush()

    def on_unreachable(self, remote: Endpoint, local: Endpoint, now: float) -> list[Action]:
        self.layer.unreachable(remote, local, now)
        return self.layer.flush()

    # -- for calls and registration ----------------------------------------------------------

    def new_call_id(self) -> bytes:
        """``<random>@<own address>``, as many phones make them."""
        return token(self.rng) + b"@" + self._host

    def resolve(self, uri: bytes) -> Endpoint | None:
        """Where to send for a URI: its address, the server for a name, ``None`` if impossible."""
        found = uri_of(uri)
        if found is None:
            return None
        endpoint = next_hop(uri)
        if endpoint is None and found.host.lower() == self.config.domain.lower().encode():
            return self.config.server
        return endpoint

    def compose(
        self,
        method: bytes,
        uri: bytes,
        *,
        from_: bytes,
        from_tag: bytes,
        to: bytes,
        call_id: bytes,
        cseq: int,
        routes: bytes = b"",
        headers: bytes = b"",
        body: bytes = b"",
    ) -> Request:
        """A request with our Via and a new branch."""
        branch = self.layer.branch()
        return Request(
            method,
            uri,
            sent_by=self.announced,
            branch=branch,
            via=self._via + branch,
            from_=from_,
            from_tag=from_tag,
            to=to,
            call_id=call_id,
            cseq=cseq,
            routes=routes,
            names=self.names,
        ).compose(headers, body)

    @property
    def flows(self) -> Sequence[Flow]:
        return [sender for call in self.calls if not call.over for sender in call.senders.values()]

    def receive_train(self, train: Train, source: Endpoint, local: Endpoint) -> None:
        found = self._stream_at(local.port)
        if found is not None:
            call, kind = found
            call.on_train(kind, train, source)

    def sender(self, call: Call, kind: Kind) -> RtpSender:
        """What a call says on one stream."""
        local = Endpoint(self.config.ip, call.ports[kind] + self.config.rtp_source_offset)
        return RtpSender(kind, local, self.rng, signal=self.config.signal, limit=self.config.media_packets)

    def _announce(self, sip: Endpoint) -> None:
        """Write that endpoint into Contact and Via from now on."""
        here = hostport(sip)
        self.announced = sip
        transport = self.config.transport
        portless = not self.config.contact_port and sip.port == DEFAULT_PORT
        place = here.removesuffix(b":%d" % DEFAULT_PORT) if portless else here
        self.contact = b"sip:" + self._user + b"@" + place + transport_parameter(transport)
        self.contact_line = self.names.contact + b"<" + self.contact + b">\r\n"
        self._via = protocol_of(transport) + here + (b";rport;branch=" if self.config.rport else b";branch=")

    def _on_mapped(self, local: Endpoint, public: Endpoint, now: float) -> None:
        """A socket's public endpoint was found, or has become another one."""
        self.note(now, "mapped", f"{local} is {public}")
        if local == self.local:
            self._announce(public)
            if self.registration.state is RegistrationState.REGISTERED:
                self.registration.register(now)

    def _on_candidate(self, local: Endpoint, public: Endpoint, now: float) -> None:
        """The same of a socket that is a candidate; nobody is told but by ICE."""
        self.note(now, "candidate", f"{local} is {public}")

    def _on_connection_lost(self, local: Endpoint, remote: Endpoint, reason: str, now: float) -> None:
        """What waits for an answer on it has failed; the server can no longer reach us."""
        self.note(now, "connection-lost", f"{local} to {remote}: {reason}")
        self.layer.unreachable(remote, local, now, "tcp")
        if remote == self.config.server:
            self.registration.flow_failed(now)

    def _current(self) -> Call | None:
        """The latest call that is not over."""
        for call in reversed(self.calls):
            if not call.over:
                return call
        return None

    def _stream_at(self, port: int) -> tuple[Call, Kind] | None:
        """The call that has a media port, and what that port is for."""
        for call in reversed(self.calls):
            if not call.over:
                for kind, each in call.ports.items():
                    if port == each or (port == rtcp_port(each) and kind in call.media.reporters):
                        return call, kind
        return None

    def ports_of(self, line: int) -> dict[Kind, int]:
        """The media ports of a line: each has ten of its own."""
        base = self.config.rtp_port + 10 * line
        return {kind: base + _OFFSETS[kind] for kind in self.config.streams}

    def free_line(self) -> int | None:
        """The first line without a call; ``None`` when all are taken."""
        taken = {call.line for call in self.calls if not call.over}
        return next((line for line in range(self.config.lines) if line not in taken), None)

    # -- requests ----------------------------------------------------------------------------

    def on_request(self, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        handler = self._methods.get(request.method)
        if handler is None:
            known = request.method in KNOWN_METHODS
            self.reject(transaction, 405 if known else 501, now, self.allow_line)
        elif not self._is_for_us(request.uri):
            self.reject(transaction, 404, now)
        elif (
            b"require" in request.heads and request.method != b"CANCEL" and (missing := self._lacks(request))
        ):
            # Section 8.2.2.3: only what we offer can be required.
            self.reject(transaction, 420, now, b"Unsupported: " + b", ".join(missing) + b"\r\n")
        else:
            handler(self, transaction, now)

    def _lacks(self, request: Incoming) -> list[bytes]:
        """What the request requires and we can't do; a CANCEL has nothing to require (section 8.2.2.3)."""
        if b"require" not in request.heads or request.method == b"CANCEL":
            return []
        offered = {each.encode() for each in self.config.extensions}
        return [each for each in request.values(b"require") if each.lower() not in offered]

    def _is_for_us(self, uri: bytes) -> bool:
        found = uri_of(uri)
        if found is None or found.user not in (b"", self._user):
            return False
        return not self.config.strict_request_uri or next_hop(uri) in (self.local, self.announced)

    def reject(self, transaction: ServerTransaction, status: int, now: float, headers: bytes = b"") -> None:
        transaction.reply(status, now, headers=headers + self.agent_line)
        request = transaction.request
        uri = request.uri.decode("utf-8", "backslashreplace")
        self.note(now, "rejected", f"{status} to {request.method.decode('ascii', 'replace')} {uri}")

    def _dialog_of(self, request: Incoming) -> Call | None:
        return self.dialogs.get(DialogId(request.call_id, request.to_tag, request.from_tag))

    def _on_invite(self, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        if request.to_tag:
            self._within(transaction, now)
            return
        if self._is_merged(request):
            self.reject(transaction, 482, now)
            return
        replacing, replaced = transfer.replaced_by(self, transaction)
        if replacing and replaced is None:
            self.reject(transaction, 481, now)
            return
        if self.free_line() is None:
            self.reject(transaction, 486, now)
            return
        body = request.body
        if body and request.value(b"content-type").partition(b";")[0].strip().lower() != SDP_TYPE:
            self.reject(transaction, 415, now, b"Accept: " + SDP_TYPE + b"\r\n")
            return
        try:
            if body:
                read(body, tuple(self.ports_of(0)), secure=self.config.srtp)
        except MediaError as error:
            self.note(now, "media-error", str(error))
            self.reject(transaction, 488, now)
            return
        call = IncomingCall(self, transaction, now)
        self.calls.append(call)
        call.replaces = replaced
        call.ring(now)
        if replaced is not None:
            call.answer(now)

    def _is_merged(self, request: Incoming) -> bool:
        """Whether this INVITE is one that is being answered, come another way (section 8.2.2.2)."""
        for call in self.calls:
            if isinstance(call, IncomingCall) and not call.over:
                known = call.transaction.request
                if (known.call_id, known.from_tag, known.cseq) == (
                    request.call_id,
                    request.from_tag,
                    request.cseq,
                ):
                    return True
        return False

    def _call_of(self, transaction: ServerTransaction, now: float) -> Call | None:
        """The call that a request within a dialog belongs to; without one it is answered, and ``None``."""
        request = transaction.request
        call = self._dialog_of(request)
        if call is None or call.dialog is None:
            self.reject(transaction, 481, now)
            return None
        if request.cseq < call.dialog.remote_cseq:
            self.reject(transaction, 500, now)  # section 12.2.2: out of order
            return None
        call.dialog.remote_cseq = request.cseq
        return call

    def _within(self, transaction: ServerTransaction, now: float) -> None:
        call = self._call_of(transaction, now)
        if call is not None:
            call.renegotiation.on_request(transaction, now)

    def _on_prack(self, transaction: ServerTransaction, now: float) -> None:
        call = self._call_of(transaction, now)
        if call is not None:
            call.on_prack(transaction, now)

    def _on_bye(self, transaction: ServerTransaction, now: float) -> None:
        call = self._call_of(transaction, now)
        if call is not None:
            call.on_bye(transaction, now)

    def _on_refer(self, transaction: ServerTransaction, now: float) -> None:
        call = self._call_of(transaction, now)
        if call is not None:
            transfer.on_refer(self, call, transaction, now)

    def _on_notify(self, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        for each in self.subscriptions:
            if (each.call_id, each.tag) == (request.call_id, request.to_tag):
                each.on_notify(transaction, now)
                return
        call = self._call_of(transaction, now)
        if call is not None:
            transfer.on_notify(call, transaction, now)

    def _on_info(self, transaction: ServerTransaction, now: float) -> None:
        call = self._call_of(transaction, now)
        if call is not None:
            call.on_info(transaction, now)

    def _on_message(self, transaction: ServerTransaction, now: float) -> None:
        instant_message.on_message(self, transaction, now)

    def _on_cancel(self, transaction: ServerTransaction, now: float) -> None:
        invite = self.layer.invite_of(transaction.request)
        if invite is None:
            self.reject(transaction, 481, now)
            return
        transaction.to_tag = invite.to_tag  # section 9.2: the same tag as in the INVITE's responses
        transaction.reply(200, now, headers=self.agent_line)
        if isinstance(invite.user_data, IncomingCall):
            invite.user_data.on_cancel(now)

    def _on_options(self, transaction: ServerTransaction, now: float) -> None:
        accept = b"Accept: " + SDP_TYPE + b"\r\n"
        transaction.reply(200, now, headers=self.allow_line + accept + self.agent_line)

    def on_ack(self, ack: Incoming, transaction: ServerTransaction | None, now: float) -> None:
        call = self._dialog_of(ack)
        if call is not None:
            call.on_ack(ack, now)
        else:
            self.note(now, "discarded", "ACK: no dialog has its Call-ID and tags (RFC 3261 12.2.2)")

    def on_unacknowledged(self, transaction: ServerTransaction, now: float) -> None:
        self.note(now, "no-ack", f"{transaction.status} to INVITE was never acknowledged (timer H)")

    _methods: ClassVar[dict[bytes, Callable[[Phone, ServerTransaction, float], None]]] = {
        b"INVITE": _on_invite,
        b"BYE": _on_bye,
        b"CANCEL": _on_cancel,
        b"OPTIONS": _on_options,
        b"UPDATE": _within,
        b"PRACK": _on_prack,
        b"INFO": _on_info,
        b"REFER": _on_refer,
        b"NOTIFY": _on_notify,
        b"MESSAGE": _on_message,
    }


# From the first port of a line. RTCP has the odd ones.
_OFFSETS: Final[dict[Kind, int]] = {"audio": 0, "video": 2, "image": 4}


def _uri(target: str) -> bytes:
    return (target if target.lower().startswith(("sip:", "sips:")) else f"sip:{target}").encode()
