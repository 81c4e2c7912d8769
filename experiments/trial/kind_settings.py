"""The settings in which kinds of phones and servers differ, and what each means.

The rules of this file:

- A default is what the lab's plain phone (or server) does. A card states what another one does.
- Names are those of ``PhoneConfig`` and ``ServerConfig``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from functools import cache
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from siplab.experiments.trial.endpoints import PhoneKind, ServerKind
from siplab.lab import specs
from siplab.lab.server.nat_tests import NatTest

_CONFIG: Final = ConfigDict(extra="forbid", use_attribute_docstrings=True)  # the Schema shows them

Count = Annotated[int, Field(ge=0)]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Outcome = Annotated[int, Field(ge=300, le=699)] | Literal["silence", "4xx", "5xx", "6xx", "else"]
BadPort = Literal["drop", "reject", "accept", "wrap"]
UdpLength = Literal["ignore", "stream", "reject", "cut"]
Matched = Literal["branch", "method", "call-id", "from-tag", "from", "cseq", "sent-by"]


@dataclass(frozen=True, config=_CONFIG)
class PhoneSettings(PhoneKind):
    """What phones differ in; times in seconds."""

    call_id_form: Literal["token", "token@host"] = "token@host"
    """How the phone writes Call-ID. token: at random. token@host: with its own address behind an @, where
    an ALG finds it."""
    response_match: tuple[Matched, ...] = ("branch", "method", "call-id", "from-tag", "cseq", "sent-by")
    """What in a response must be as in the request. The phone drops a response in which it is not. RFC 3261
    17.1.3 asks for branch and method, 18.1.2 for sent-by."""
    branch_case: Literal["exact", "any"] = "exact"
    """Whether a branch in other letter case counts as the same one (any)."""
    dialog_match: Literal["call-id+tags", "tags"] = "call-id+tags"
    """By what the phone finds the dialog of a request (RFC 3261 12.2.2). It answers 481 where it finds
    none."""
    request_uri_check: Literal["none", "user", "host-port"] = "user"
    """What in a Request-URI must be the phone's own; otherwise it answers 404. host-port: user, host and
    port."""
    on_syntax: Literal["drop", "reject", "tolerate"] = "reject"
    """A message with one bad header. drop: no answer. reject: a request is answered 400. tolerate: the
    phone reads as much as it can."""
    bad_port: BadPort = "reject"
    """A port above 65535 in Via, Contact or a Request-URI. drop: the message is dropped. reject: a request
    is answered 400. accept: the port is taken as it is, and sending to it fails. wrap: it is taken modulo
    65536."""
    udp_length: UdpLength = "cut"
    """A wrong Content-Length over UDP. ignore: the phone does not look at it. stream: it reads datagrams as
    one stream, and takes what is missing from the next one. reject: a request is answered 400, a response
    dropped. cut: the body ends there, if not before."""
    rport: bool = True
    """Whether the phone asks for rport (RFC 3581)."""
    answers_to: Literal["asked", "source", "via-port"] = "asked"
    """Where the phone sends its responses. asked: to the source if Via has rport, else to the port in Via.
    source: always to the source. via-port: always to the port in Via."""
    learn: Literal["none", "once", "guarded", "received"] = "none"
    """Whether the phone takes its public address from a response to REGISTER, writes it into Contact, and
    registers again at once. It does so once for each change. once: from received and rport, or from a Via
    that a router left public. guarded: the same under pjsip's conditions, and into Via too. received: only
    from the parameter received."""
    contact_form: Literal["plain", "ob", "transport", "instance", "unique-user"] = "plain"
    """What the Contact has beside user, address and port. ob: ;ob (RFC 5626). transport: ;transport=udp.
    instance: ;transport=udp and +sip.instance. unique-user: as with baresip, a user part of its own instead
    of the user, and the lifetime behind the URI."""
    contact_policy: Literal["fallback", "ignore", "unregister"] = "fallback"
    """A 200 to REGISTER that does not list the phone's own Contact. fallback: the phone counts as
    registered. ignore: it does not look, and does nothing more. unregister: it takes this for a failure."""
    expires: Annotated[int, Field(gt=0)] = 3600
    """The lifetime that the phone asks for."""
    refresh: Seconds | tuple[Seconds, Seconds] = 60.0
    """When the phone refreshes its registration. Below 1: a fraction of the lifetime. Else: seconds before
    its end, or half-way if the lifetime is short. Two numbers: at random between them."""
    retry: Mapping[Outcome, Seconds | Literal["never"]] = field(default_factory=lambda: {"else": 60.0})
    """When the phone registers again after a failure: by status, by class of status, or after silence."""
    retry_growth: Annotated[float, Field(ge=1)] = 1.0
    """By what the phone multiplies this wait after each further failure."""
    retry_limit: Seconds = 0.0
    """The longest such wait; 0: no limit."""
    retry_spread: tuple[Seconds, Seconds] = (1.0, 1.0)
    """The range of a random factor for each such wait."""
    keepalive: Literal["", "crlf", "crlf-crlf", "zero-bytes", "jak", "notify", "register", "options"] = ""
    """What the phone sends to keep its NAT binding. crlf: two bytes. crlf-crlf: four bytes. zero-bytes:
    four zero bytes. jak: jaK and a zero byte. notify, register, options: a request (register: without a
    Contact)."""
    keepalive_interval: Annotated[float, Field(gt=0)] = 25.0
    """How often; without a keep-alive it has no effect."""
    source_port: Port = 0
    """The port that the phone sends SIP from, while it listens at another one and announces that; 0: one
    port for both."""
    rtp_port: Port | Literal["lab", "random"] = "lab"
    """The phone's first media port. random: an even one, drawn for each phone. lab: the one that the lab
    gives to all."""
    rtp_source_offset: int = 0
    """By how much the port that media are sent from is above the one where they are received; 0: symmetric
    (RFC 4961)."""
    latch_after: Count = 0
    """After how many packets from elsewhere the phone sends media back there; 0: never, it believes the
    SDP."""
    media_filter: Literal["none", "ip"] = "none"
    """Whether the phone takes media only from the address in the SDP (ip)."""
    same_sdp_version: Literal["follow", "ignore"] = "follow"
    """A later offer with another address or port but the same version in o=. follow: the phone follows it.
    ignore: it takes the offer for unchanged."""
    codec_lock: bool = False
    """Whether the phone sends a re-INVITE at once when its call is answered with more than one codec."""
    session_timer: Count = 0
    """The session interval that the phone offers (RFC 4028); 0: none."""
    options_in_dialog: Literal[200, 500] = 200
    """How the phone answers OPTIONS within a dialog. A server that pings in this way may take a phone that
    answers 500 for dead."""
    lost_ack: Annotated[float, Field(gt=0)] = 32.0
    """How long the phone waits for the ACK to its 200 before it hangs up (RFC 3261 13.3.1.4)."""

    def phone(self) -> Mapping[str, Any]:
        return _changed(self)

    def far_phone(self) -> Mapping[str, Any]:
        # The phones on the internet latch unless their kind says that they do not.
        return {"latch_after": self.latch_after, **self.phone()}


@dataclass(frozen=True, config=_CONFIG)
class ServerSettings(ServerKind):
    """What servers differ in; times in seconds."""

    rport: Literal["asked", "always", "never"] = "asked"
    """Where the server sends its responses. asked: to the source if Via has rport (RFC 3581), else to the
    port in Via. always: to the source. never: to the port in Via."""
    nat_tests: tuple[NatTest, ...] = ("via-host", "via-port", "contact-host", "contact-port")
    """What shows the server that a phone is behind NAT; one is enough. contact-private, via-private: a
    private address there. The others: a host or port there that is not that of the source.
    register-contact-private and invite-via-private look at REGISTER or INVITE only."""
    store: Literal["contact", "source-if-nat", "source", "rewrite-contact"] = "source"
    """Where calls to a registered phone go. contact: to its Contact. source-if-nat: to the source of its
    REGISTER if NAT was seen. source: always to this source. rewrite-contact: to a Contact in which the
    server replaced host and port by those of the source."""
    binding_match: Literal["uri", "bytes", "user"] = "uri"
    """When a Contact counts as one that is registered already. uri: by RFC 3261 19.1.4. bytes: byte for
    byte. user: if the user is the same."""
    old_cseq: Literal[500, 400, "accept"] = 500
    """A REGISTER whose CSeq is not above the binding's. RFC 3261 10.3 asks for 500."""
    max_contacts: Count = 10
    """How many bindings a user may have; 0: any number."""
    max_contacts_over: Literal[403, 503, "replace"] = 403
    """One more than that. 403, 503: refused. replace: it takes the place of the oldest one."""
    min_expires: Count = 60
    """The shortest lifetime."""
    short_expires: Literal["reject", "raise"] = "reject"
    """A phone asks for a shorter one. reject: 423. raise: the 200 has a longer one."""
    natted_expires: Count = 0
    """The lifetime that the server gives to phones behind NAT, so that their REGISTERs keep the NAT
    binding; 0: the same as to others."""
    max_expires: Count = 3600
    """The longest lifetime; 0: as long as the phone asks for."""
    ping: Literal["", "natted", "all"] = ""
    """To which registered phones the server sends keep-alives: none, those that are seen behind NAT, or
    all."""
    ping_kind: Literal["options", "zero-bytes"] = "options"
    """What it sends. options: OPTIONS, which the phone answers. zero-bytes: four zero bytes, which it does
    not answer."""
    ping_interval: Annotated[float, Field(gt=0)] = 25.0
    """How often; without keep-alives it has no effect."""
    nonce_lifetime: Annotated[float, Field(gt=0)] = 300.0
    """How long a nonce is good."""
    nonce_tied: tuple[Literal["request-uri", "call-id", "ip", "nc"], ...] = ("nc",)
    """What must be as it was when the nonce was given. nc: the nonce count must rise."""
    strict_digest_uri: bool = False
    """Whether the signed uri must equal the Request-URI. No implementation was found that asks for this."""
    domains: Literal["own", "from-realm", "ip-dropped", "ip-488", "any", "forced"] = "own"
    """Which domains a request may name in From and To. own: the server's, or its address. from-realm: any;
    the server asks for credentials of that realm. ip-dropped: an address gets no answer. ip-488: an address
    gets 488. any: all. forced: the server replaces it by its own."""
    foreign_request_uri: Literal["reject", "save", "proxy"] = "reject"
    """A REGISTER whose Request-URI has another domain. reject: 404. save: it is registered here, and calls
    for this server's users are taken whatever their domain. proxy: forwarded (RFC 3261 10.3)."""
    udp_length: UdpLength = "cut"
    """As with phones."""
    bad_port: BadPort = "reject"
    """As with phones. wrap: only the port of Via; a Contact is stored as it is, and calls to it fail
    (479)."""
    validation: Literal["strict", "forgiving"] = "strict"
    """How much of a message a proxy reads. strict: all. forgiving: what it needs (RFC 3261 16.3); see
    ``_refusals.yaml``."""
    alias: Literal["always", "natted", "never"] = "always"
    """To whose Contact the server adds the source (;alias=), which requests within the call then follow.
    always: where the two differ. natted: for phones behind NAT. never: for none. A B2BUA has a Contact of
    its own instead."""
    b2bua: bool = False
    """Whether it is a back-to-back user agent (RFC 7092). Then it has a dialog of its own with each side,
    and neither side sees the other's Call-ID, tags, Via and Contact."""
    relay_when: Literal["never", "natted", "always"] = "never"
    """For whom the server relays media (RFC 7362)."""
    direct_media: bool = False
    """Whether a B2BUA has the phones send media directly to each other once the call is up, by re-INVITEs
    with the other side's SDP."""
    latch: Literal["untrusted", "always", "never"] = "untrusted"
    """Whether the relay sends media back to where they come from. untrusted: if the address in the SDP is
    not the sender's."""
    latch_after: Annotated[int, Field(ge=1)] = 1
    """After how many packets."""
    latch_window: Seconds = 0.0
    """How long a better source may still replace the first one; 0: the first one stays."""
    restrict: Literal["none", "latched", "learned", "sdp"] = "latched"
    """Whose media the relay takes. none: anybody's. latched: those from where it latched. learned: those
    from the learned source, and anybody's while it learns. sdp: those from the address in the SDP."""
    session_timer: Count = 0
    """The session interval that the server asks for (RFC 4028); 0: none."""
    session_timer_natted: bool = False
    """Whether it asks only where NAT was seen."""
    private_own: bool = False
    """Whether the server writes private addresses of its own into Contact and Record-Route."""
    tcp_connect: Literal["reuse", "open"] = "reuse"
    """How the server reaches a phone that registered over TCP. reuse: by that connection. open: by a
    connection that it opens."""
    flow_tied: bool = False
    """Whether a request must come from the source of the user's REGISTER."""
    only_source_port: Port = 0
    """The source port that a request must have to be answered; 0: any."""

    def server(self) -> Mapping[str, Any]:
        return _changed(self)


SETTINGS: Final[dict[str, type[PhoneSettings] | type[ServerSettings]]] = {
    "phone": PhoneSettings,
    "server": ServerSettings,
}


@cache
def defaults(kind: str) -> dict[str, Any]:
    """The settings of the lab's plain phone or server."""
    return specs.parameters(SETTINGS[kind]())


def _changed(settings: PhoneSettings | ServerSettings) -> dict[str, Any]:
    plain = defaults("phone" if isinstance(settings, PhoneSettings) else "server")
    return {name: value for name, value in specs.parameters(settings).items() if value != plain[name]}
