"""The core of a user agent (RFC 3261 section 8): its identity, and how it writes requests and refusals.

The parts of a phone (registration, calls, subscriptions, ...) use this class and not ``Phone``.
"""

from __future__ import annotations

import abc
import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Final
from uuid import UUID

from siplab.lab.phone.address_discovery import AddressDiscovery
from siplab.lab.phone.arrangement import arranged
from siplab.lab.phone.media_relaying import MediaRelaying
from siplab.lab.phone.phone_config import PhoneConfig
from siplab.lab.phone.quirks import styled
from siplab.lab.phone.reading import reader
from siplab.lab.sip.base import Agent
from siplab.lab.sip.dialog import next_hop
from siplab.lab.sip.events import EventKind, Facts
from siplab.lab.sip.messages import (
    COMPACT_NAMES,
    DEFAULT_PORT,
    LONG_NAMES,
    SDP_TYPE,
    ReplyTo,
    Request,
    endpoint_at,
    hostport,
    protocol_of,
    token,
    transport_parameter,
    uri_of,
)
from siplab.lab.sip.streams import SipStreams
from siplab.lab.sip.transactions import ServerTransaction, TransactionLayer, TransactionUser
from siplab.lab.sip.tunnel import TunnelEnd
from siplab.lab.wire.ip import Endpoint

# The part of a request that caused a refusal with this status.
_AT_FAULT: Final = {404: "start line", 488: "SDP"}
_ANSWERS: Final[dict[str, ReplyTo]] = {"asked": "asked", "source": "always", "via-port": "never"}


class UserAgent(Agent, TransactionUser):
    """What the parts of a phone have in common. ``methods``: those that it answers.

    ``origin``: the endpoint that sends its SIP. ``announced``: the endpoint in Via. ``reachable``: that in
    Contact.
    """

    def __init__(self, config: PhoneConfig, rng: random.Random, methods: Iterable[bytes]) -> None:
        super().__init__()
        if config.rtp_port == "random":  # baresip's range
            config = replace(config, rtp_port=2 * rng.randrange(512, 24576))
        self.config = config
        self.rng = rng
        self.local = Endpoint(config.ip, config.sip_port)
        self.origin = Endpoint(config.ip, config.source_port or config.sip_port)
        self.names = COMPACT_NAMES if config.compact else LONG_NAMES
        fatal, silent = reader(config.on_syntax, config.bad_port, config.udp_length)
        self.layer = TransactionLayer(
            self,
            rng,
            names=self.names,
            rport=_ANSWERS[config.answers_to],
            secure_port=config.secure_port,
            fatal=fatal,
            silent=silent,
            wrap_ports=config.bad_port == "wrap",
            match=frozenset(config.response_match),
            any_case=config.branch_case == "any",
            udp_length=config.udp_length,
        )
        if config.tunnel is not None:
            self.layer.tunnel = TunnelEnd(config.tunnel)
        if config.quirks or config.header_order or config.optional_headers:
            self.layer.style = self._written
        if config.transport != "udp":
            self.layer.streams = SipStreams(
                self.layer,
                self._on_connection_lost,
                mtu=config.mtu,
                framing=config.framing,
                tls=config.tls,
                tls_ports=(self.local.port, self.origin.port) if config.transport == "tls" else (),
            )
        self._user = config.user.encode()
        self.aor = b"sip:" + self._user + b"@" + config.domain.encode()
        self.agent_line = b"User-Agent: " + config.user_agent.encode() + b"\r\n"
        self.allow_line = b"Allow: " + b", ".join((*methods, b"ACK")) + b"\r\n"
        options = ", ".join(config.options).encode()
        self.supported_line = b"Supported: " + options + b"\r\n" if options else b""
        self.allow_line += self.supported_line
        self.padding = b"Subject: " + b"x" * config.padding + b"\r\n" if config.padding else b""
        self.invite_lines = self.allow_line + self.agent_line + self.names.content_type + SDP_TYPE + b"\r\n"
        self._host = config.ip.encode()
        self.contact_user = self._user
        self._instance = b""
        if config.contact_form == "unique-user":
            self.contact_user += b"-0x%08x" % rng.getrandbits(32)
        elif config.contact_form in ("instance", "outbound"):
            self._instance = (
                b';+sip.instance="<urn:uuid:%b>"' % str(UUID(int=rng.getrandbits(128), version=4)).encode()
            )
        self._announce(Endpoint(config.ip, config.announced_port or config.sip_port))
        seen = config.keepalive_interval
        self.discovery = AddressDiscovery(self.layer, rng, config.stun, seen, self._on_mapped)
        self.relaying = MediaRelaying(self.layer, rng, config.turn, config.user, config.password)
        self.ice_discovery = AddressDiscovery(self.layer, rng, config.ice_server, seen, self._on_candidate)

    def announced_media(self, local: Endpoint) -> Endpoint:
        """The endpoint that session descriptions name for a media socket."""
        return self.relaying.relayed(local) or self.discovery.announced(local)

    def untie(self) -> None:
        self.layer.untie()
        super().untie()

    def _written(self, wire: bytes) -> bytes:
        """A message in the style of this phone."""
        config = self.config
        if config.header_order or config.optional_headers:
            wire = arranged(wire, config.header_order, config.optional_headers)
        return styled(wire, config.quirks, config.ip.encode()) if config.quirks else wire

    # -- requests and refusals -----------------------------------------------------------------

    def new_call_id(self) -> bytes:
        """``<random>@<own address>``, as many phones make Call-IDs, or ``<random>`` alone."""
        drawn = token(self.rng)
        return drawn if self.config.call_id_form == "token" else drawn + b"@" + self._host

    def resolve(self, uri: bytes) -> Endpoint | None:
        """Where to send for a URI: its address, or the server for our domain; ``None`` if neither works."""
        found = uri_of(uri)
        if found is None:
            return None
        endpoint = next_hop(uri)
        if endpoint is None and found.port and self.config.bad_port == "wrap":
            endpoint = endpoint_at(found.host, found.port % 65536)
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

    def reject(self, transaction: ServerTransaction, status: int, now: float, headers: bytes = b"") -> None:
        transaction.reply(status, now, headers=headers + self.agent_line)
        request = transaction.request
        uri = request.uri.decode("utf-8", "backslashreplace")
        method = request.method.decode("ascii", "replace")
        facts = Facts(status, method, _AT_FAULT.get(status, ""), uri)
        self.note(now, EventKind.REJECTED, f"{status} to {method} {uri}", facts)

    def on_unacknowledged(self, transaction: ServerTransaction, now: float) -> None:
        facts = Facts(transaction.status, "INVITE")
        self.note(now, EventKind.NO_ACK, f"{facts.status} to INVITE was never acknowledged (timer H)", facts)

    # -- its address -----------------------------------------------------------------------------

    def _announce(self, sip: Endpoint, *, via: bool = True) -> None:
        """Write this endpoint into Contact from now on, and into Via unless told otherwise."""
        here = hostport(sip)
        self.reachable = sip
        transport, form = self.config.transport, self.config.contact_form
        # TLS has another default port (RFC 3261 section 19.1.2).
        portless = not self.config.contact_port and sip.port == DEFAULT_PORT and transport != "tls"
        place = here.removesuffix(b":%d" % DEFAULT_PORT) if portless else here
        parameter = transport_parameter(transport)
        reg_id = b";reg-id=1" if form == "outbound" else b""
        if form in ("transport", "instance"):
            parameter = b";transport=" + transport.encode()
        elif form in ("ob", "outbound"):
            parameter += b";ob"
        self.contact = b"sip:" + self.contact_user + b"@" + place + parameter
        self.contact_line = (
            self.names.contact + b"<" + self.contact + b">" + self._instance + reg_id + b"\r\n"
        )
        if via:
            self.announced = sip
            asked = b";rport;branch=" if self.config.rport else b";branch="
            self._via = protocol_of(transport) + here + asked

    def learn(self, seen: Endpoint, now: float, *, via: bool) -> None:
        """A response has shown at which endpoint others see us: announce it, in Via only with ``via``."""
        self.note(now, EventKind.MAPPED, f"{self.local} is {seen}", Facts(local=self.local, remote=seen))
        self._announce(seen, via=via)

    def _on_mapped(self, local: Endpoint, public: Endpoint, now: float) -> None:
        """A socket's public endpoint was found, or has changed."""
        self.note(now, EventKind.MAPPED, f"{local} is {public}", Facts(local=local, remote=public))
        if local == self.local:
            self._announce(public)
            self.contact_changed(now)

    def _on_candidate(self, local: Endpoint, public: Endpoint, now: float) -> None:
        """The same for a socket that is an ICE candidate; only ICE announces it."""
        self.note(now, EventKind.CANDIDATE, f"{local} is {public}", Facts(local=local, remote=public))

    def _on_connection_lost(self, local: Endpoint, remote: Endpoint, reason: str, now: float) -> None:
        """Requests that wait for an answer on it have failed, and the server can no longer reach us."""
        facts = Facts(local=local, remote=remote)
        self.note(now, EventKind.CONNECTION_LOST, f"{local} to {remote}: {reason}", facts)
        self.layer.unreachable(remote, local, now, "tcp")
        if remote == self.config.server:
            self.flow_failed(now)

    @abc.abstractmethod
    def contact_changed(self, now: float) -> None:
        """Contact names another endpoint from now on."""

    @abc.abstractmethod
    def flow_failed(self, now: float) -> None:
        """The connection to the server is gone."""
