"""A phone: a user agent that registers, calls and is called (RFC 3261), with media and digest.

The rules of this file:

- It is strict: a message that breaks SIP's grammar, a transaction or a dialog has no effect except for an
  event.
- It knows nothing of NAT: Contact, Via and SDP have the address that the phone was configured with, or with
  ``stun`` the one that a STUN server saw.
- ``siplab.lab.phone.uas`` handles the requests that arrive.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from siplab.lab.media import dtmf
from siplab.lab.media.attributes import rtcp_port
from siplab.lab.media.session import Hold, Kind
from siplab.lab.phone import instant_message, transfer
from siplab.lab.phone.call import Call, CallState
from siplab.lab.phone.call_in import IncomingCall
from siplab.lab.phone.keepalive import KeepAlive
from siplab.lab.phone.phone_config import PhoneConfig
from siplab.lab.phone.registration import Registration, RegistrationState
from siplab.lab.phone.subscription import Subscription
from siplab.lab.phone.uas import UserAgentServer
from siplab.lab.sip.base import Action, Flow, Listen, Train, Transport
from siplab.lab.sip.tunnel import TunnelEnd
from siplab.lab.wire.ip import Endpoint

__all__ = ["Phone", "PhoneConfig", "RegistrationState"]


class Phone(UserAgentServer):
    """A phone on one host: ``config.sip_port`` for SIP, ``config.rtp_port`` for media.

    ``calls``: every call, in the order of their beginning; ``registration``: the phone's registration.
    ``inbox``: sender and text of each MESSAGE that arrived. ``outbox``: target and final status of each that
    was sent.
    """

    def __init__(self, config: PhoneConfig, rng: random.Random) -> None:
        super().__init__(config, rng)
        self.rtp_local = Endpoint(config.ip, self.config.ports_of(0)["audio"])
        self.outbox: list[tuple[str, int]] = []
        self._beats: list[Action] = []  # keep-alives of a tunnel that are yet to be sent
        self.keepalive = KeepAlive(self, lambda now: self.registration.register(now))
        self.registration = Registration(self, self.keepalive.follow)

    def untie(self) -> None:
        for call in self.calls:
            vars(call).clear()
        super().untie()

    # -- commands ----------------------------------------------------------------------------

    def register(self, now: float) -> list[Action]:
        """Register now, and refresh the registration from then on."""
        self.discovery.when_settled(self.registration.register, now)
        return self.layer.flush()

    def unregister(self, now: float, *, everything: bool = False) -> list[Action]:
        """Remove the registration; with ``everything`` all registrations of the user (``Contact: *``)."""
        self.registration.unregister(now, everything=everything)
        return self.layer.flush()

    def call(self, target: str, now: float) -> list[Action]:
        """Call ``bob@lab.test`` or ``sip:bob@lab.test``; the call is ``calls[-1]``."""
        self.place(_uri(target), now)
        return self.layer.flush()

    def answer(self, now: float) -> list[Action]:
        """Answer the call that is ringing."""
        for call in self.calls:
            if isinstance(call, IncomingCall) and call.state is CallState.RINGING:
                call.answer(now)
                break
        return self.layer.flush()

    def hang_up(self, now: float, call: Call | None = None) -> list[Action]:
        """End a call (if none is given, the latest that is not over): CANCEL, 603 or BYE."""
        call = call or self._current()
        if call is not None:
            call.hang_up(now)
        return self.layer.flush()

    def hold(self, call: Call, how: Hold, now: float, done: Callable[[int, float], None]) -> list[Action]:
        """Hold a call, or resume it with ``""``; ``done`` gets the answer's status and its time (seconds)."""
        call.hold(now, how, done)
        return self.layer.flush()

    def dial(self, call: Call, digits: str, now: float) -> list[Action]:
        """Send digits within a call, as telephone events (RFC 4733)."""
        dtmf.dial(call, digits, now)
        return self.layer.flush()

    def transfer(self, call: Call, target: str, now: float, *, replaced: Call | None = None) -> list[Action]:
        """Transfer ``call``: blind, or attended, then in the place of our call ``replaced``."""
        transfer.refer(call, _uri(target), now, replaced)
        return self.layer.flush()

    def message(self, target: str, text: str, now: float) -> list[Action]:
        """Send a text (RFC 3428); ``outbox`` gets the target and the final status."""
        instant_message.send(
            self, _uri(target), text, now, lambda status: self.outbox.append((target, status))
        )
        return self.layer.flush()

    def subscribe(self, package: str, target: str, now: float, expires: int = 3600) -> list[Action]:
        """Subscribe to an event package (RFC 6665); the subscription is ``subscriptions[-1]``."""
        subscription = Subscription(self, package, _uri(target), expires)
        self.subscriptions.append(subscription)
        subscription.send(now)
        return self.layer.flush()

    def _current(self) -> Call | None:
        """The latest call that is not over."""
        for call in reversed(self.calls):
            if not call.over:
                return call
        return None

    # -- the world ---------------------------------------------------------------------------

    @property
    def _media_sockets(self) -> list[Endpoint]:
        config = self.config
        ports = [port for line in range(config.lines) for port in config.ports_of(line).values()]
        beside = [port + config.rtp_source_offset for port in ports] if config.rtp_source_offset else []
        reports = [rtcp_port(port) for port in ports] if config.rtcp else []
        return [Endpoint(config.ip, port) for port in (*ports, *beside, *reports)]

    @property
    def sockets(self) -> list[Listen]:
        """All that it listens on; with a tunnel, the endpoints that the tunnel's gateway gives it."""
        transport: Transport = "udp" if self.layer.streams is None else "tcp"
        sip = [Listen(self.local, transport), Listen(self.origin, transport)]
        return list(dict.fromkeys([*sip, *(Listen(each) for each in self._media_sockets)]))

    def start(self, now: float) -> list[Action]:
        media, tunnel = self._media_sockets, self.layer.tunnel
        if self.layer.streams is not None:
            self.layer.streams.listen(self.local, self.origin)
            self.discovery.start(media, now)
        else:
            self.discovery.start([self.local, *media], now)
        self.ice_discovery.start(media, now)
        self.relaying.start(media, now)
        if tunnel is None:
            return [*self.sockets, *self.layer.flush()]
        self._keep_tunnel(tunnel, now)
        return [Listen(tunnel.tunnel.outer), *self.layer.flush(), tunnel.keep_alive()]

    def _keep_tunnel(self, tunnel: TunnelEnd, now: float) -> None:
        def beat(_: object, then: float) -> None:
            self._beats.append(tunnel.keep_alive())
            self._keep_tunnel(tunnel, then)

        self.layer.timers.start(now + tunnel.tunnel.keepalive, beat)

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        tunnel = self.layer.tunnel
        if tunnel is not None:
            inner = tunnel.inward(payload, source)
            if isinstance(inner, bytes):
                return self.receive_segment(inner, now)
            if inner is None:
                return []
            payload, source, local = inner.payload, inner.source, inner.destination
        brought = self.relaying.receive(payload, source, local, now)
        if brought is not None:
            payload, source = brought
        if brought == (b"", source):
            pass  # a message of the relay for the phone itself
        elif self.discovery.receive(payload, local, now) or self.ice_discovery.receive(payload, local, now):
            pass
        elif local != self.local:
            found = self._stream_at(local.port)
            if found is not None:
                call, kind = found
                if local.port == rtcp_port(call.ports[kind]):
                    call.media.report(kind, payload, source, now)
                else:
                    call.on_media(kind, payload, source, now)
        elif not self.keepalive.receive(payload, now):
            self.layer.receive_datagram(payload, source, local, now)
        return self.layer.flush()

    def receive_segment(self, packet: bytes, now: float) -> list[Action]:
        if self.layer.streams is not None:
            self.layer.streams.receive(packet, now)
        return self.layer.flush()

    def next_timer(self) -> float | None:
        return self.layer.next_timer()

    def next_active_timer(self) -> float | None:
        return self.layer.next_active_timer()

    def on_timer(self, now: float) -> list[Action]:
        self.layer.on_timer(now)
        beats, self._beats = self._beats, []
        return [*self.layer.flush(), *beats]

    def on_unreachable(self, remote: Endpoint, local: Endpoint, now: float) -> list[Action]:
        self.layer.unreachable(remote, local, now)
        return self.layer.flush()

    def contact_changed(self, now: float) -> None:
        if self.registration.state is RegistrationState.REGISTERED:
            self.registration.register(now)

    def flow_failed(self, now: float) -> None:
        self.registration.flow_failed(now)

    # -- media -------------------------------------------------------------------------------

    @property
    def flows(self) -> Sequence[Flow]:
        senders = [sender for call in self.calls if not call.over for sender in call.senders.values()]
        return senders if self.layer.tunnel is None else self.layer.tunnel.flows(senders)

    def receive_train(self, train: Train, source: Endpoint, local: Endpoint) -> None:
        if self.layer.tunnel is not None and self.layer.tunnel.heard is not None:
            source, local = self.layer.tunnel.heard
        found = self._stream_at(local.port)
        if found is not None:
            call, kind = found
            call.on_train(kind, train, self.relaying.speaker(source, local))

    def _stream_at(self, port: int) -> tuple[Call, Kind] | None:
        """The call that has a media port, and the kind of media."""
        for call in reversed(self.calls):
            if not call.over:
                for kind, each in call.ports.items():
                    if port == each or (port == rtcp_port(each) and kind in call.media.reporters):
                        return call, kind
        return None


def _uri(target: str) -> bytes:
    return (target if target.lower().startswith(("sip:", "sips:")) else f"sip:{target}").encode()
