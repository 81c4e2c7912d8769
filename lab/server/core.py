"""The core of a server: its settings, what it is responsible for, whom it believes, and how it refuses.

Its parts (registrar, proxy, notifier, ...) know it, not the whole server.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from siplab.lab.sip.base import Agent, Transport
from siplab.lab.sip.digest import Authority, Outcome
from siplab.lab.sip.events import NO_FACTS, EventKind, Facts
from siplab.lab.sip.messages import ReplyTo, address_text, uri_of
from siplab.lab.sip.streams import Framing, SipStreams
from siplab.lab.sip.transactions import ServerTransaction, TransactionLayer, TransactionUser
from siplab.lab.wire.ip import DEFAULT_MTU, Endpoint


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


class ServerCore(Agent, TransactionUser):
    """What the parts of a server have in common."""

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

    def _on_connection_lost(self, local: Endpoint, remote: Endpoint, reason: str, now: float) -> None:
        facts = Facts(local=local, remote=remote)
        self.note(now, EventKind.CONNECTION_LOST, f"{local} to {remote}: {reason}", facts)
        self.layer.unreachable(remote, local, now, "tcp")

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

    # -- refusals ----------------------------------------------------------------------------

    def on_unacknowledged(self, transaction: ServerTransaction, now: float) -> None:
        facts = Facts(transaction.status, "INVITE")
        self.note(now, EventKind.NO_ACK, f"{facts.status} to INVITE was never acknowledged (timer H)", facts)

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
            method = request.method.decode("ascii", "replace")
            self.note(now, EventKind.CHALLENGED, f"{status} to {method}", Facts(status, method))
        else:
            self.reject(transaction, status, now, f"{verdict.user}: {verdict.outcome.value}", header)
        return None

    def reject(
        self,
        transaction: ServerTransaction,
        status: int,
        now: float,
        why: str,
        headers: bytes = b"",
        facts: Facts = NO_FACTS,
    ) -> None:
        """Answer a request with an error, and note why; ``facts``: what of the request is at fault."""
        transaction.reply(status, now, headers=headers + self.server_line)
        method = transaction.request.method.decode("ascii", "replace")
        facts = facts._replace(status=status, method=method)
        self.note(now, EventKind.REJECTED, f"{status} to {method}: {why}", facts)
