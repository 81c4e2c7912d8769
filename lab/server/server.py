"""A SIP server of one domain, on one host and any number of ports: registrar, and proxy or B2BUA.

The rules of this file:

- It answers from the port at which the request arrived, and names that port in Via and Record-Route.
- It decides who handles a request: itself (REGISTER, OPTIONS to the server), or the proxy.
- By default it is as strict as the phone, except for bodies: malformed requests are answered 400, malformed
  responses dropped.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from siplab.lab.media import stun
from siplab.lab.media.relay import MediaRelay, RelayRules
from siplab.lab.server.b2bua import BackToBack
from siplab.lab.server.core import ServerConfig, ServerCore
from siplab.lab.server.forwarding import Forwarding
from siplab.lab.server.nat_keepalive import NatKeepalive
from siplab.lab.server.notifier import Notifier
from siplab.lab.server.proxy import Proxy
from siplab.lab.server.registrar import Binding, Registrar
from siplab.lab.sip.base import Action, Listen, Send, Train
from siplab.lab.sip.events import EventKind, Facts
from siplab.lab.sip.messages import Incoming, uri_of
from siplab.lab.sip.transactions import ServerTransaction
from siplab.lab.wire.ip import Endpoint

__all__ = ["Binding", "ServerConfig", "SipServer"]


class SipServer(ServerCore):
    """Registrar, and proxy or B2BUA. ``bindings`` maps ``sip:user@domain`` to its bindings."""

    def __init__(self, config: ServerConfig, rng: random.Random) -> None:
        super().__init__(config, rng)
        self.registrar = Registrar(self)
        self.nat_keepalive = NatKeepalive(self, self.registrar)
        self.notifier = Notifier(self)
        rules = RelayRules(config.latch, config.latch_after, config.latch_window, config.restrict)
        relayed = config.relay_when != "never"
        self.relay = MediaRelay(config.ip, config.relay_port, self._act, rules) if relayed else None
        core = BackToBack if config.b2bua else Proxy
        self.proxy = core(self, self.registrar, self.notifier, self.relay)

    @property
    def bindings(self) -> dict[str, list[Binding]]:
        return self.registrar.bindings

    def ask(self, user: str, now: float, done: Callable[[int, float], None]) -> list[Action]:
        """Ask a registered phone whether it answers, as monitoring does; see ``NatKeepalive.ask``."""
        self.nat_keepalive.ask(user, now, done)
        return self.layer.flush()

    # -- the world ---------------------------------------------------------------------------

    def start(self, now: float) -> list[Action]:
        endpoints = [Endpoint(self.config.ip, port) for port in self.config.ports]
        actions: list[Action] = []
        if "udp" in self.config.transports:
            actions += [Listen(each) for each in endpoints]
        if self.layer.streams is not None:
            actions += self.layer.streams.listen(*endpoints)
        return actions

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        if self.relay is not None and self.relay.owns(local):
            return self.relay.receive(payload, source, local, now)
        if self.config.stun and (answer := stun.answer(payload, source)) is not None:
            return [Send(local, source, answer)]
        if self.config.only_source_port not in (0, source.port) and payload[:4] != b"SIP/":
            why = f"a request from port {source.port}, not {self.config.only_source_port}"
            self.note(now, EventKind.DISCARDED, why, Facts(local=local, remote=source))
            return []
        self.layer.receive_datagram(payload, source, local, now)
        return self.layer.flush()

    def receive_segment(self, packet: bytes, now: float) -> list[Action]:
        if self.layer.streams is not None:
            self.layer.streams.receive(packet, now)
        return self.layer.flush()

    def onward(self, source: Endpoint, local: Endpoint) -> tuple[Endpoint, Endpoint] | None:
        return self.relay.onward(source, local) if self.relay is not None and self.relay.owns(local) else None

    def receive_train(self, train: Train, source: Endpoint, local: Endpoint) -> None:
        if self.relay is not None and self.relay.owns(local):
            self.relay.receive_train(train, source, local)

    def next_timer(self) -> float | None:
        return self.layer.next_timer()

    def next_active_timer(self) -> float | None:
        return self.layer.next_active_timer()

    def on_timer(self, now: float) -> list[Action]:
        self.layer.on_timer(now)
        return self.layer.flush()

    def on_unreachable(self, remote: Endpoint, local: Endpoint, now: float) -> list[Action]:
        self.layer.unreachable(remote, local, now)
        return self.layer.flush()

    def _act(self, action: Action) -> None:
        self.layer.outbox.append(action)

    # -- requests ----------------------------------------------------------------------------

    def on_request(self, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        proxied = self.config.foreign_request_uri == "proxy" and not self.is_own_domain(request.uri)
        if request.method == b"REGISTER" and self.config.upstream is None and not proxied:
            self.registrar.on_register(transaction, now)
        elif request.method == b"CANCEL":
            self._on_cancel(transaction, now)
        elif request.method == b"SUBSCRIBE" and self._is_to_us(request):
            self.notifier.on_subscribe(transaction, now)
        elif request.method == b"OPTIONS" and self._is_to_server(request):
            transaction.reply(200, now, headers=self.server_line)
        else:
            self.proxy.on_request(transaction, now)

    def _is_to_server(self, request: Incoming) -> bool:
        found = uri_of(request.uri)
        return found is not None and not found.user and self.is_own_host(found.host)

    def _is_to_us(self, request: Incoming) -> bool:
        found = uri_of(request.uri)
        return found is not None and self.is_own_host(found.host) and b"alias" not in found.parameters

    def _on_cancel(self, transaction: ServerTransaction, now: float) -> None:
        invite = self.layer.invite_of(transaction.request)
        if invite is None:
            self.reject(transaction, 481, now, "there is no INVITE to cancel")
            return
        transaction.reply(200, now, headers=self.server_line)
        if isinstance(invite.user_data, Forwarding):
            invite.user_data.cancel(now)

    def on_ack(self, ack: Incoming, transaction: ServerTransaction | None, now: float) -> None:
        self.proxy.on_ack(ack, now)
