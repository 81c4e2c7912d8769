"""A SIP server: registrar and proxy of one domain, on one host and any number of ports.

The rules of this file:

- It answers from the port that was addressed, and names that port in Via and Record-Route.
- It decides who handles a request: itself (REGISTER, OPTIONS to the server), or the proxy.
- It is as strict as the phone: malformed requests are answered 400, malformed responses dropped.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from siplab.lab.media.relay import MediaRelay
from siplab.lab.server.nat_keepalive import NatKeepalive
from siplab.lab.server.notifier import Notifier
from siplab.lab.server.proxy import Forwarding, Proxy
from siplab.lab.server.registrar import Binding, Registrar
from siplab.lab.sip.base import Action, Agent, Listen, Train, Transport
from siplab.lab.sip.digest import Authority, Outcome
from siplab.lab.sip.messages import Incoming, ReplyTo, address_text, uri_of
from siplab.lab.sip.streams import Framing, SipStreams
from siplab.lab.sip.transactions import ServerTransaction, TransactionLayer
from siplab.lab.wire.ip import DEFAULT_MTU, Endpoint

__all__ = ["Binding", "ServerConfig", "SipServer"]


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Settings of a server; times in seconds.

    ``users`` maps user names to passwords. ``location`` says where requests to a registered phone go:
    ``"contact"`` to its Contact URI, ``"received"`` to where its REGISTER came from, from the port that
    it went to. ``strict_digest_uri``: the signed uri must equal the Request-URI.
    ``upstream``: another server, to which this one sends whatever is for its domain, as an outbound
    proxy does: it then registers nobody. ``timer_c`` bounds the time that a forwarded INVITE may ring
    (RFC 3261 section 16.8).

    ``rport``: whether answers go to where requests come from. ``ping``: which registered phones are sent
    OPTIONS every ``ping_interval`` seconds: none, those that show that they are behind NAT, or all.
    ``relay``: media go by way of this server, from ``relay_port`` on (RFC 7362). ``secure_port``:
    at that one of the ``ports`` SIP is sealed (``lab.sip.pseudo_tls``). ``transports``: by which the server
    can be reached, at each port; ``framing`` and ``mtu`` are for TCP, as with phones.
    """

    domain: str
    users: Mapping[str, str] = field(hash=False)
    ip: str
    realm: str = ""
    ports: tuple[int, ...] = (5060, 5080)
    challenge_invite: bool = True
    min_expires: int = 60
    max_expires: int = 3600
    location: Literal["received", "contact"] = "received"
    algorithm: Literal["MD5", "SHA-256"] = "MD5"
    strict_digest_uri: bool = False
    nonce_lifetime: float = 300.0
    timer_c: float = 181.0
    upstream: Endpoint | None = None
    server_name: str = "siplab-server"
    rport: ReplyTo = "asked"
    ping: Literal["", "natted", "all"] = ""
    ping_interval: float = 25.0
    relay: bool = False
    relay_port: int = 20000
    transports: tuple[Transport, ...] = ("udp",)
    framing: Framing = "whole"
    mtu: int = DEFAULT_MTU
    secure_port: int = 0


class SipServer(Agent):
    """Registrar and proxy. ``bindings`` maps ``sip:user@domain`` to its bindings."""

    def __init__(self, config: ServerConfig, rng: random.Random) -> None:
        super().__init__()
        self.config = config
        self.layer = TransactionLayer(self, rng, rport=config.rport, secure_port=config.secure_port)
        if "tcp" in config.transports:
            lost = self._on_connection_lost
            self.layer.streams = SipStreams(self.layer, lost, mtu=config.mtu, framing=config.framing)
        self.authority = Authority(
            config.realm or config.domain,
            config.users,
            rng,
            algorithm=config.algorithm,
            strict_uri=config.strict_digest_uri,
            nonce_lifetime=config.nonce_lifetime,
        )
        self.server_line = b"Server: " + config.server_name.encode() + b"\r\n"
        self._domain = config.domain.lower().encode()
        self._endpoints = frozenset(Endpoint(config.ip, port) for port in config.ports)
        self.registrar = Registrar(self)
        self.proxy = Proxy(self)
        self.notifier = Notifier(self)
        self.nat_keepalive = NatKeepalive(self)
        self.relay = MediaRelay(config.ip, config.relay_port, self._act) if config.relay else None

    @property
    def bindings(self) -> dict[str, list[Binding]]:
        return self.registrar.bindings

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
            return self.relay.receive(payload, source, local)
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

    def on_timer(self, now: float) -> list[Action]:
        self.layer.on_timer(now)
        return self.layer.flush()

    def on_unreachable(self, remote: Endpoint, local: Endpoint, now: float) -> list[Action]:
        self.layer.unreachable(remote, local, now)
        return self.layer.flush()

    def _on_connection_lost(self, local: Endpoint, remote: Endpoint, reason: str, now: float) -> None:
        self.note(now, "connection-lost", f"{local} to {remote}: {reason}")
        self.layer.unreachable(remote, local, now, "tcp")

    def _act(self, action: Action) -> None:
        self.layer.outbox.append(action)

    # -- what is ours ------------------------------------------------------------------------

    def aor(self, user: str) -> str:
        """The address-of-record of a user."""
        return f"sip:{user}@{self.config.domain}"

    def is_own(self, endpoint: Endpoint) -> bool:
        """Whether that is one of the server's endpoints."""
        return endpoint in self._endpoints

    def is_own_host(self, host: bytes) -> bool:
        """Whether a URI's host is the domain or the server's address."""
        return host.lower() == self._domain or address_text(host) == self.config.ip

    def is_own_domain(self, uri: bytes) -> bool:
        """Whether a URI names the domain itself, as the Request-URI of a REGISTER does."""
        found = uri_of(uri)
        return found is not None and self.is_own_host(found.host)

    # -- requests ----------------------------------------------------------------------------

    def on_request(self, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        if request.method == b"REGISTER" and self.config.upstream is None:
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

    def on_unacknowledged(self, transaction: ServerTransaction, now: float) -> None:
        self.note(now, "no-ack", f"{transaction.status} to INVITE was never acknowledged (timer H)")

    def authenticate(self, transaction: ServerTransaction, now: float, *, proxy: bool = False) -> str | None:
        """The user whose credentials a request has; without good ones it is answered, and ``None``."""
        request = transaction.request
        name = b"proxy-authorization" if proxy else b"authorization"
        credentials = None
        for each in request.message.all(name):
            if self.authority.realm_of(each.value):
                credentials = each.value
        verdict = self.authority.verify(request.method, request.uri, credentials, now)
        if verdict.granted:
            return verdict.user
        if verdict.outcome is Outcome.URI_MISMATCH:
            self.reject(transaction, 400, now, verdict.outcome.value)
            return None
        stale = verdict.outcome in (Outcome.STALE, Outcome.REPLAYED)
        header = b"Proxy-Authenticate: " if proxy else b"WWW-Authenticate: "
        header += self.authority.challenge(now, stale=stale) + b"\r\n"
        status = 407 if proxy else 401
        if verdict.outcome is Outcome.MISSING:
            transaction.reply(status, now, headers=header + self.server_line)
            self.note(now, "challenged", f"{status} to {request.method.decode('ascii', 'replace')}")
        else:
            self.reject(transaction, status, now, f"{verdict.user}: {verdict.outcome.value}", header)
        return None

    def reject(
        self, transaction: ServerTransaction, status: int, now: float, why: str, headers: bytes = b""
    ) -> None:
        """Answer a request with an error, and note why."""
        transaction.reply(status, now, headers=headers + self.server_line)
        method = transaction.request.method.decode("ascii", "replace")
        self.note(now, "rejected", f"{status} to {method}: {why}")
