"""The core of a server: its settings, what it is responsible for, authentication, and how it refuses.

The parts of a server (registrar, proxy, notifier, ...) use this class and not ``SipServer``.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from siplab.lab.media.relay import Latch, Restrict
from siplab.lab.server.nat_tests import NatTest, nat_seen
from siplab.lab.server.validation import BadPort, UdpLength, Validation, fatal_of, silent_of
from siplab.lab.sip.base import Agent, SipTransport
from siplab.lab.sip.digest import Authority, Outcome, Ties
from siplab.lab.sip.events import NO_FACTS, EventKind, Facts
from siplab.lab.sip.messages import Incoming, ReplyTo, address_text, name_addr_of, uri_of
from siplab.lab.sip.streams import Framing, Securing, SipStreams
from siplab.lab.sip.transactions import ServerTransaction, TransactionLayer, TransactionUser
from siplab.lab.wire.headers import Uri
from siplab.lab.wire.ip import DEFAULT_MTU, Endpoint

PRIVATE_OWN: Final = Endpoint("10.255.0.1", 5060)
"""The address of its own network that a server with ``private_own`` shows."""


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Settings of a server; times in seconds.

    Users and registrations:

    - ``users`` maps user names to passwords. ``numbers``: of users; P-Asserted-Identity tells them to the
      called phone (RFC 3325). ``strict_digest_uri``: the signed uri must equal the Request-URI.
      ``nonce_tied``: what must be the same as when the nonce was issued.
    - ``store`` says where requests to a registered phone go. ``contact``: to its Contact URI. ``source``: to
      where its REGISTER came from, and from the port at which it arrived. ``source-if-nat``: the same, but
      only if one of the ``nat_tests`` shows a NAT; else as ``contact``. ``rewrite-contact``: to a Contact
      whose address was replaced by the source.
    - ``binding_match`` to ``max_expires``: see ``lab.server.registrar``; 0 is no limit. ``domains``: which
      domains From and To may have; ``foreign_request_uri``: what becomes of a foreign domain in a Request-URI
      (``save``: a call to one of the users is one for this server all the same).
    - ``calls_from``: the server's port from which registered phones are called, 0 for the port at which the
      call arrived. ``tcp_connect``: a phone that registered over TCP is reached by that connection, or by a
      new one to its Contact.
    - ``ping``: which registered phones get OPTIONS, NOTIFY or zero bytes (``ping_kind``) every
      ``ping_interval``: none, those that seem to be behind NAT, or all.

    Calls:

    - ``upstream``: another server, to which this one sends all requests for its domain, as an outbound proxy
      does; then it registers nobody. ``timer_c``: the time that a forwarded INVITE may ring (RFC 3261 section
      16.8). ``record_route``: whether requests within a dialog pass through this server.
    - ``alias``: in whose Contacts the source is noted in dialogs (``;alias=``): everybody's, those of phones
      behind NAT, nobody's. ``flow_tied``: an INVITE must come from where the user's REGISTER came from.
    - ``session_timer``: the session interval that the server asks for (RFC 4028); with
      ``session_timer_natted`` only where NAT is seen. ``private_own``: a private address of the server's own
      is in Record-Route, and in the Contact of a back-to-back user agent. ``b2bua``: the server is such an
      agent (``lab.server.b2bua``); ``direct_media``: it then has media sent directly.
    - ``relay_when``: whose media pass through this server, from ``relay_port`` on (RFC 7362); ``latch`` to
      ``restrict``: see ``RelayRules``.

    Messages and transports:

    - ``rport``: whether answers go to the source of requests. ``validation``, ``bad_port``, ``udp_length``:
      which messages are refused (``lab.server.validation``). ``only_source_port``: requests from other ports
      are dropped; 0: none is.
    - ``transports``: those at each port; ``framing`` and ``mtu`` are for TCP, as with phones.
      ``secure_port``: one of the ``ports``, at which SIP is sealed (``lab.sip.pseudo_tls``). ``tls_port``:
      one at which TCP has TLS in it, with the certificate of ``tls``. ``stun``: STUN is answered at all ports
      (RFC 5626 section 5.4).
    """

    domain: str
    users: Mapping[str, str] = field(hash=False)
    ip: str
    realm: str = ""
    ports: tuple[int, ...] = (5060, 5080)
    challenge_invite: bool = True
    min_expires: int = 60
    max_expires: int = 3600
    nat_tests: tuple[NatTest, ...] = ("via-host", "via-port", "contact-host", "contact-port")
    store: Literal["contact", "source-if-nat", "source", "rewrite-contact"] = "source"
    alias: Literal["always", "natted", "never"] = "always"
    binding_match: Literal["uri", "bytes", "user"] = "uri"
    old_cseq: Literal[500, 400, "accept"] = 500
    max_contacts: int = 10
    max_contacts_over: Literal[403, 503, "replace"] = 403
    short_expires: Literal["reject", "raise"] = "reject"
    natted_expires: int = 0
    domains: Literal["own", "from-realm", "ip-dropped", "ip-488", "any", "forced"] = "own"
    foreign_request_uri: Literal["reject", "save", "proxy"] = "reject"
    validation: Validation = "strict"
    bad_port: BadPort = "reject"
    udp_length: UdpLength = "cut"
    algorithm: Literal["MD5", "SHA-256"] = "MD5"
    strict_digest_uri: bool = False
    nonce_lifetime: float = 300.0
    nonce_tied: tuple[Literal["request-uri", "call-id", "ip", "nc"], ...] = ("nc",)
    timer_c: float = 181.0
    upstream: Endpoint | None = None
    server_name: str = "siplab-server"
    rport: ReplyTo = "asked"
    ping: Literal["", "natted", "all"] = ""
    ping_kind: Literal["options", "notify", "zero-bytes"] = "options"
    ping_interval: float = 25.0
    b2bua: bool = False
    relay_when: Literal["never", "natted", "always"] = "never"
    direct_media: bool = False
    latch: Latch = "untrusted"
    latch_after: int = 1
    latch_window: float = 0.0
    restrict: Restrict = "latched"
    session_timer: int = 0
    session_timer_natted: bool = False
    private_own: bool = False
    tcp_connect: Literal["reuse", "open"] = "reuse"
    flow_tied: bool = False
    only_source_port: int = 0
    record_route: bool = True
    numbers: Mapping[str, str] = field(default_factory=dict, hash=False)
    calls_from: int = 0
    relay_port: int = 20000
    transports: tuple[SipTransport, ...] = ("udp",)
    framing: Framing = "whole"
    mtu: int = DEFAULT_MTU
    secure_port: int = 0
    stun: bool = False
    tls: Securing | None = field(default=None, hash=False, compare=False)
    tls_port: int = 0


class ServerCore(Agent, TransactionUser):
    """What the parts of a server have in common."""

    def __init__(self, config: ServerConfig, rng: random.Random) -> None:
        super().__init__()
        self.config = config
        self.layer = TransactionLayer(
            self,
            rng,
            rport=config.rport,
            secure_port=config.secure_port,
            fatal=fatal_of(config.validation, config.bad_port, config.udp_length),
            silent=silent_of(config.validation, config.bad_port),
            wrap_ports=config.bad_port == "wrap",
        )
        if "tcp" in config.transports:
            lost = self._on_connection_lost
            self.layer.streams = SipStreams(
                self.layer,
                lost,
                mtu=config.mtu,
                framing=config.framing,
                tls=config.tls,
                tls_ports=(config.tls_port,),
            )
        self.authority = Authority(
            config.realm or config.domain,
            config.users,
            rng,
            algorithm=config.algorithm,
            strict_uri=config.strict_digest_uri,
            nonce_lifetime=config.nonce_lifetime,
            count_rises="nc" in config.nonce_tied,
        )
        self.server_line = b"Server: " + config.server_name.encode() + b"\r\n"
        self._domain = config.domain.lower().encode()
        asking = config.store == "source-if-nat" or config.session_timer_natted or config.natted_expires > 0
        self._minds_nat = asking or "natted" in (config.ping, config.relay_when, config.alias)
        self._endpoints = {Endpoint(config.ip, port) for port in config.ports}
        if config.private_own:
            self._endpoints.add(PRIVATE_OWN)

    def untie(self) -> None:
        self.layer.untie()
        super().untie()

    def _on_connection_lost(self, local: Endpoint, remote: Endpoint, reason: str, now: float) -> None:
        facts = Facts(local=local, remote=remote)
        self.note(now, EventKind.CONNECTION_LOST, f"{local} to {remote}: {reason}", facts)
        self.layer.unreachable(remote, local, now, "tcp")

    # -- what is ours ------------------------------------------------------------------------

    def aor(self, user: str) -> str:
        """The address-of-record of a user."""
        return f"sip:{user}@{self.config.domain}"

    def is_own(self, endpoint: Endpoint) -> bool:
        """Whether an endpoint is the server's own."""
        return endpoint in self._endpoints

    def is_own_host(self, host: bytes) -> bool:
        """Whether a URI's host is the domain or the server's address."""
        return host.lower() == self._domain or address_text(host) == self.config.ip

    def is_own_domain(self, uri: bytes) -> bool:
        """Whether a URI names the domain itself, as the Request-URI of a REGISTER does."""
        found = uri_of(uri)
        return found is not None and self.is_own_host(found.host)

    # -- whose request it is -----------------------------------------------------------------

    def is_natted(self, request: Incoming, contact: bytes) -> bool:
        """Whether a phone is behind NAT, if any setting of this server depends on that.

        A server that has no tests and stores every source takes all phones for that.
        """
        config = self.config
        if not self._minds_nat:
            return False
        if not config.nat_tests:
            return config.store in ("source", "rewrite-contact")
        return nat_seen(request, contact, config.nat_tests)

    def accepts(self, uri: Uri) -> bool:
        """Whether a URI of From or To may belong to one of the users."""
        return self.config.domains in ("any", "forced", "from-realm") or self.is_own_host(uri.host)

    def realm_of(self, request: Incoming) -> bytes:
        """The realm for the challenge; empty for the server's own."""
        if self.config.domains != "from-realm":
            return b""
        uri = uri_of(name_addr_of(request.value(b"from")).uri)
        return uri.host.lower() if uri is not None else b""

    def _ties(self, request: Incoming) -> Ties:
        found: dict[str, object] = {
            "request-uri": request.uri,
            "call-id": request.call_id,
            "ip": request.source.ip,
        }
        return tuple(found[each] for each in self.config.nonce_tied if each != "nc")

    def _names_an_address(self, request: Incoming) -> bool:
        """Whether From or To has an IP address in the place of a domain."""
        uris = [uri_of(name_addr_of(request.value(name)).uri) for name in (b"from", b"to")]
        return any(uri is not None and address_text(uri.host) is not None for uri in uris)

    # -- refusals ----------------------------------------------------------------------------

    def on_unacknowledged(self, transaction: ServerTransaction, now: float) -> None:
        facts = Facts(transaction.status, "INVITE")
        self.note(now, EventKind.NO_ACK, f"{facts.status} to INVITE was never acknowledged (timer H)", facts)

    def authenticate(self, transaction: ServerTransaction, now: float, *, proxy: bool = False) -> str | None:
        """The user whose credentials a request has. Without valid ones, answers it and returns ``None``."""
        request = transaction.request
        if self.config.domains.startswith("ip-") and self._names_an_address(request):
            what = "a domain is needed in From and To"
            if self.config.domains == "ip-488":
                self.reject(transaction, 488, now, what)
            else:
                method = request.method.decode("ascii", "replace")
                self.note(now, EventKind.DISCARDED, f"{method}: {what}", Facts(method=method, part="To"))
            return None
        name = b"proxy-authorization" if proxy else b"authorization"
        credentials = None
        realm, ties = self.realm_of(request), self._ties(request)
        for each in request.message.all(name):
            if self.authority.realm_of(each.value, realm):
                credentials = each.value
        verdict = self.authority.verify(request.method, request.uri, credentials, now, realm=realm, ties=ties)
        if verdict.granted:
            return verdict.user
        if verdict.outcome is Outcome.URI_MISMATCH:
            self.reject(transaction, 400, now, verdict.outcome.value)
            return None
        stale = verdict.outcome in (Outcome.STALE, Outcome.REPLAYED)
        header = b"Proxy-Authenticate: " if proxy else b"WWW-Authenticate: "
        header += self.authority.challenge(now, stale=stale, realm=realm, ties=ties) + b"\r\n"
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
        """Answer a request with an error, and note why; ``facts``: the part of the request at fault."""
        transaction.reply(status, now, headers=headers + self.server_line)
        method = transaction.request.method.decode("ascii", "replace")
        facts = facts._replace(status=status, method=method)
        self.note(now, EventKind.REJECTED, f"{status} to {method}: {why}", facts)
