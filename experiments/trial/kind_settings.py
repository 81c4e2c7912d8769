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
    """How it writes Call-ID: random, or with its own address behind an @, where an ALG finds it."""
    response_match: tuple[Matched, ...] = ("branch", "method", "call-id", "from-tag", "cseq", "sent-by")
    """What of a response must be the request's, or it is dropped: RFC 3261 17.1.3 asks for branch and
    method, 18.1.2 for sent-by."""
    branch_case: Literal["exact", "any"] = "exact"
    """Whether a branch in another case is the same one."""
    dialog_match: Literal["call-id+tags", "tags"] = "call-id+tags"
    """What finds the dialog of a request (RFC 3261 12.2.2); a miss is answered 481."""
    request_uri_check: Literal["none", "user", "host-port"] = "user"
    """What of a Request-URI must be its own, or the request is answered 404; host-port: the user as
    well."""
    on_syntax: Literal["drop", "reject", "tolerate"] = "reject"
    """A message with one bad header: dropped in silence, a request answered 400, or read as far as it
    goes."""
    bad_port: BadPort = "reject"
    """A port above 65535 in Via, Contact or a Request-URI: the message is dropped, a request answered 400,
    the port is taken as it stands and fails where it is sent to, or taken modulo 65536."""
    udp_length: UdpLength = "cut"
    """A Content-Length over UDP that is wrong: not looked at; datagrams are read as a stream, and what is
    missing comes out of the next; the request is answered 400, a response dropped; or the body ends there
    at the latest."""
    rport: bool = True
    """Whether it asks for rport (RFC 3581)."""
    answers_to: Literal["asked", "source", "via-port"] = "asked"
    """Where its responses go: to the source when Via has rport, always to the source, or to the port in
    Via."""
    learn: Literal["none", "once", "guarded", "received"] = "none"
    """Whether it takes its public address from received and rport of a response, or from a Via that a
    router left public, writes it into Contact, and registers again at once, once for each change; guarded:
    not where pjsip does not, and into Via too; received: only from that parameter."""
    contact_form: Literal["plain", "ob", "transport", "instance", "unique-user"] = "plain"
    """What its Contact has beside user, address and port: ;ob (RFC 5626), ;transport=udp, that and
    +sip.instance, or a user part of its own in the place of the user and the lifetime behind it, as baresip
    does."""
    contact_policy: Literal["fallback", "ignore", "unregister"] = "fallback"
    """A 200 to REGISTER without its own Contact: registered all the same; not looked at, and nothing more
    is done; or a failure."""
    expires: Annotated[int, Field(gt=0)] = 3600
    """The lifetime that it asks for."""
    refresh: Seconds | tuple[Seconds, Seconds] = 60.0
    """When it refreshes: below 1 a fraction of the lifetime, else seconds before its end, half-way for
    short ones; two numbers: at random between them."""
    retry: Mapping[Outcome, Seconds | Literal["never"]] = field(default_factory=lambda: {"else": 60.0})
    """When it registers again after a failure, by status, class of status, or silence."""
    retry_growth: Annotated[float, Field(ge=1)] = 1.0
    """What that wait is multiplied with after each further failure."""
    retry_limit: Seconds = 0.0
    """The longest such wait; 0: none."""
    retry_spread: tuple[Seconds, Seconds] = (1.0, 1.0)
    """The random factor of such a wait."""
    keepalive: Literal["", "crlf", "crlf-crlf", "zero-bytes", "jak", "notify", "register", "options"] = ""
    """What it sends against idle NATs: two bytes, four, four zero bytes, jaK and a zero byte, or a request
    (register: without a Contact)."""
    keepalive_interval: Annotated[float, Field(gt=0)] = 25.0
    """How often; of no effect without one."""
    source_port: Port = 0
    """The port that SIP is sent from, while another is announced and listened at; 0: one for both."""
    rtp_port: Port | Literal["lab", "random"] = "lab"
    """Its first media port; random: an even one, drawn for each phone; lab: what the lab gives to all."""
    rtp_source_offset: int = 0
    """How far above the port where media are received they are sent from; 0: symmetric (RFC 4961)."""
    latch_after: Count = 0
    """After how many packets from elsewhere it sends media back there; 0: never, the SDP is believed."""
    media_filter: Literal["none", "ip"] = "none"
    """Whether it takes media only from the address in the SDP."""
    same_sdp_version: Literal["follow", "ignore"] = "follow"
    """A later offer with another address or port and the same version in o=: followed, or taken for
    unchanged."""
    codec_lock: bool = False
    """Whether it sends a re-INVITE at once when its call is answered with more than one codec."""
    session_timer: Count = 0
    """The session interval that it offers (RFC 4028); 0: none."""
    options_in_dialog: Literal[200, 500] = 200
    """What it answers to OPTIONS within a dialog; a server that pings so may take 500 for dead."""
    lost_ack: Annotated[float, Field(gt=0)] = 32.0
    """How long it waits for the ACK to its 200 before it hangs up (RFC 3261 13.3.1.4)."""

    def phone(self) -> Mapping[str, Any]:
        return _changed(self)

    def far_phone(self) -> Mapping[str, Any]:
        # The phones on the internet latch unless their kind says that they do not.
        return {"latch_after": self.latch_after, **self.phone()}


@dataclass(frozen=True, config=_CONFIG)
class ServerSettings(ServerKind):
    """What servers differ in; times in seconds."""

    rport: Literal["asked", "always", "never"] = "asked"
    """Where answers go: to the source when Via has rport (RFC 3581), always to the source, or to the port
    in Via."""
    nat_tests: tuple[NatTest, ...] = ("via-host", "via-port", "contact-host", "contact-port")
    """What shows that a phone is behind NAT, one is enough: a private address in Contact or Via, or a host
    or port there that is not the source's; register-contact-private and invite-via-private: that of a
    REGISTER or an INVITE only."""
    store: Literal["contact", "source-if-nat", "source", "rewrite-contact"] = "source"
    """Where calls to a registered phone go: its Contact, the source of its REGISTER if NAT was seen, always
    the source, or a Contact that was replaced by the source when it was stored."""
    binding_match: Literal["uri", "bytes", "user"] = "uri"
    """When a Contact is one that is known: by RFC 3261 19.1.4, byte for byte, or whenever the user is the
    same."""
    old_cseq: Literal[500, 400, "accept"] = 500
    """A REGISTER whose CSeq is not above the binding's: RFC 3261 10.3 says 500."""
    max_contacts: Count = 10
    """How many bindings a user may have; 0: any number."""
    max_contacts_over: Literal[403, 503, "replace"] = 403
    """One more than that: refused, or it takes the oldest one's place."""
    min_expires: Count = 60
    """The shortest lifetime."""
    short_expires: Literal["reject", "raise"] = "reject"
    """A shorter one that is asked for: 423, or made longer in the 200."""
    natted_expires: Count = 0
    """The lifetime that phones behind NAT are given, so that their REGISTERs keep the binding alive; 0: as
    all."""
    max_expires: Count = 3600
    """The longest lifetime; 0: as asked."""
    ping: Literal["", "natted", "all"] = ""
    """Which registered phones are kept alive: none, those that show that they are behind NAT, or all."""
    ping_kind: Literal["options", "zero-bytes"] = "options"
    """With what: OPTIONS, which the phone answers, or four zero bytes, which it does not."""
    ping_interval: Annotated[float, Field(gt=0)] = 25.0
    """How often; of no effect without one."""
    nonce_lifetime: Annotated[float, Field(gt=0)] = 300.0
    """How long a nonce is good."""
    nonce_tied: tuple[Literal["request-uri", "call-id", "ip", "nc"], ...] = ("nc",)
    """What must be the same as when the nonce was given; nc: its count must rise."""
    strict_digest_uri: bool = False
    """Whether the signed uri must equal the Request-URI: no implementation was found that asks for it."""
    domains: Literal["own", "from-realm", "ip-dropped", "ip-488", "any", "forced"] = "own"
    """Whose domain a request may name in From and To: the server's (its address too), the one whose realm
    is asked for; an address is not answered, or 488; any; or it is replaced by the server's own."""
    foreign_request_uri: Literal["reject", "save", "proxy"] = "reject"
    """A REGISTER whose Request-URI is another domain's: 404, registered here all the same (and a call is for
    this server if the user is one of its own, whatever the domain), or forwarded (RFC 3261 10.3)."""
    udp_length: UdpLength = "cut"
    """As with phones."""
    bad_port: BadPort = "reject"
    """As with phones; wrap: that of Via, while a Contact is stored as it is and calls to it fail (479)."""
    validation: Literal["strict", "forgiving"] = "strict"
    """What a proxy reads: the whole message, or what it needs (RFC 3261 16.3); see ``_refusals.yaml``."""
    alias: Literal["always", "natted", "never"] = "always"
    """Whose Contact gets a note of its source (;alias=) that requests within the call follow: everybody's
    where the two differ, that of phones behind NAT, or nobody's. A B2BUA has a Contact of its own instead."""
    b2bua: bool = False
    """Whether it is a back-to-back user agent (RFC 7092), with a dialog of its own towards either side:
    neither sees the other's Call-ID, tags, Via and Contact."""
    relay_when: Literal["never", "natted", "always"] = "never"
    """Whose media go by way of the server (RFC 7362)."""
    direct_media: bool = False
    """Whether a B2BUA has media sent directly between the phones once the call is up, by re-INVITEs with what
    each one's SDP says."""
    latch: Literal["untrusted", "always", "never"] = "untrusted"
    """Whether the relay sends media back to where they come from: where the SDP's address is not the
    sender's, always, or never."""
    latch_after: Annotated[int, Field(ge=1)] = 1
    """After how many packets."""
    latch_window: Seconds = 0.0
    """For how long a better source may take the first one's place; 0: the first one stays."""
    restrict: Literal["none", "latched", "learned", "sdp"] = "latched"
    """Whose media the relay takes: anybody's; those from where it latched; from where it has learnt, and
    anybody's while it learns; or those from the SDP's address."""
    session_timer: Count = 0
    """The session interval that it asks for (RFC 4028); 0: none."""
    session_timer_natted: bool = False
    """Whether it asks only where NAT was seen."""
    private_own: bool = False
    """Whether private addresses of its own stand in its Contact and Record-Route."""
    tcp_connect: Literal["reuse", "open"] = "reuse"
    """How it reaches a phone that registered over TCP: by that connection, or by one that it opens."""
    flow_tied: bool = False
    """Whether a request must come from where the user's REGISTER came from."""
    only_source_port: Port = 0
    """The source port that requests must have to be answered; 0: any."""

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
