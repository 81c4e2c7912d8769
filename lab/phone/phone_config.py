"""Settings of a phone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from siplab.lab.media.audio import SILENCE, Signal
from siplab.lab.media.ice import Ice
from siplab.lab.media.rtcp import Rtcp
from siplab.lab.media.session import Kind
from siplab.lab.phone.quirks import Quirk
from siplab.lab.phone.reading import BadPort, OnSyntax
from siplab.lab.sip.base import SipTransport
from siplab.lab.sip.streams import Framing, Securing
from siplab.lab.sip.transactions import EVERYTHING, TIMEOUT, Matched, UdpLength
from siplab.lab.sip.tunnel import Tunnel
from siplab.lab.wire.ip import DEFAULT_MTU, Endpoint
from siplab.lab.wire.rtp import PCMU

Method = Literal["INVITE", "UPDATE"]
KeepAliveKind = Literal["", "crlf", "crlf-crlf", "zero-bytes", "jak", "notify", "register", "options", "stun"]
Learn = Literal["none", "once", "guarded", "received"]

# Added to the first port of a line. The odd ports are RTCP's.
_OFFSETS: Final[dict[Kind, int]] = {"audio": 0, "video": 2, "image": 4}


@dataclass(frozen=True, slots=True)
class PhoneConfig:
    """Settings of a phone; times in seconds.

    - ``server``: registrar and outbound proxy. ``ring_time``: from 180 to 200 when called; ``None``: only
      ``answer`` answers. ``signal``: the sound that it sends. ``media_packets``: the most packets per stream;
      ``None``: as many as the call lasts. ``compact``: use compact header names (RFC 3261 section 7.3.3).
    - ``extensions``: option tags that it offers: ``100rel`` (RFC 3262), ``timer`` (RFC 4028), ``replaces``
      (RFC 3891). ``session_expires``: the interval that it asks for with ``timer``; ``refresher``: the side
      that it chooses as a callee; ``refresh_method``: how it refreshes itself.
    - ``early_media``: answer in a 183 while it rings. ``late_offer``: call without an offer. ``padding``:
      bytes of a header that is added to each INVITE. ``lines``: calls at a time; another call gets 486
      (busy). ``streams``: the kinds of media that it supports; a call begins with audio, and with video if
      supported.
    - ``source_port``: the port from which SIP is sent, while ``sip_port`` is announced and listens; 0: one
      port for both. ``rtp_source_offset``: media are sent from a port that is higher by so much than the
      receiving one.
    - ``keepalive``: what it sends to the server every ``keepalive_interval`` while registered.
      ``media_keepalive``: time between packets on a silent stream, 0 for none (RFC 6263).
    - ``stun``: a STUN server that is asked for the public endpoint of each socket (RFC 8489) every
      ``keepalive_interval``; the phone announces these. ``turn``: a TURN relay for its media (RFC 8656),
      which knows it as ``user``. ``tunnel``: all packets go through it, and ``ip`` is an address of the
      tunnel's gateway (``lab.sip.tunnel``).
    - ``transport``: of SIP. Over TCP there is one lasting connection to the server. ``framing``: how messages
      are cut into segments; ``mtu``, of the phone's link in bytes, limits their size. ``tls``: for the
      transport TLS, whom it trusts and which name the server must have. ``secure_port``: SIP to this port of
      the server is sealed (``siplab.lab.sip.pseudo_tls``).
    - ``rtcp``: whether and where reports on the media are sent (RFC 3550, RFC 3605, RFC 5761). ``ice``: the
      phone finds the way of media itself (RFC 8445), with the STUN server ``ice_server``. ``srtp``: media are
      encrypted with keys from the session description, and no other media are accepted (RFC 4568).

    ``PhoneSettings`` in ``experiments/trial/kind_settings.py`` describes the settings in which real phones
    differ: everything from ``call_id_form`` to ``lost_ack``, and ``expires``, ``rport``, ``rtp_port``,
    ``source_port``, ``rtp_source_offset`` and the keep-alive.

    - ``header_order`` and ``optional_headers``: see ``lab.phone.arrangement``. ``codecs``: the payload types
      of audio that it offers; it sends and understands PCMU, the first of them. ``quirks``: unusual ways of
      writing (``lab.phone.quirks``).
    - ``contact_port``: whether Contact names the default port 5060. ``announced_port``: a wrong port for Via
      and Contact; 0: the true one. ``strict_media``: refuse media from an endpoint that was not announced,
      and a later offer with another o= (RFC 3264 section 8).
    """

    user: str
    domain: str
    password: str
    ip: str
    server: Endpoint
    sip_port: int = 5060
    expires: int = 3600
    rport: bool = True
    rtp_port: int | Literal["random"] = 40000
    ring_time: float | None = 1.0
    media_packets: int | None = None
    signal: Signal = SILENCE
    user_agent: str = "siplab-phone"
    header_order: tuple[str, ...] = ()
    optional_headers: tuple[str, ...] = ()
    codecs: tuple[int, ...] = (PCMU,)
    compact: bool = False
    extensions: tuple[str, ...] = ()
    session_expires: int = 0
    refresher: Literal["uac", "uas"] = "uac"
    refresh_method: Method = "INVITE"
    early_media: bool = False
    late_offer: bool = False
    padding: int = 0
    lines: int = 1
    streams: tuple[Kind, ...] = ("audio",)
    source_port: int = 0
    rtp_source_offset: int = 0
    keepalive: KeepAliveKind = ""
    keepalive_interval: float = 25.0
    media_keepalive: float = 0.0
    stun: Endpoint | None = None
    turn: Endpoint | None = None
    tunnel: Tunnel | None = None
    transport: SipTransport = "udp"
    framing: Framing = "whole"
    mtu: int = DEFAULT_MTU
    tls: Securing | None = field(default=None, hash=False, compare=False)
    secure_port: int = 0
    rtcp: Rtcp = ""
    ice: Ice = ""
    ice_server: Endpoint | None = None
    srtp: bool = False
    quirks: tuple[Quirk, ...] = ()
    contact_port: bool = True
    announced_port: int = 0
    strict_media: bool = False
    call_id_form: Literal["token", "token@host"] = "token@host"
    response_match: tuple[Matched, ...] = EVERYTHING
    branch_case: Literal["exact", "any"] = "exact"
    dialog_match: Literal["call-id+tags", "tags"] = "call-id+tags"
    request_uri_check: Literal["none", "user", "host-port"] = "user"
    on_syntax: OnSyntax = "reject"
    bad_port: BadPort = "reject"
    udp_length: UdpLength = "cut"
    answers_to: Literal["asked", "source", "via-port"] = "asked"
    learn: Learn = "none"
    contact_form: Literal["plain", "ob", "transport", "instance", "outbound", "unique-user"] = "plain"
    contact_policy: Literal["fallback", "ignore", "unregister"] = "fallback"
    refresh: float | tuple[float, float] = 60.0
    retry: Mapping[int | str, float | Literal["never"]] = field(
        default_factory=lambda: {"else": 60.0}, hash=False
    )
    retry_growth: float = 1.0
    retry_limit: float = 0.0
    retry_spread: tuple[float, float] = (1.0, 1.0)
    latch_after: int = 0
    media_filter: Literal["none", "ip"] = "none"
    same_sdp_version: Literal["follow", "ignore"] = "follow"
    codec_lock: bool = False
    session_timer: int = 0
    options_in_dialog: Literal[200, 500] = 200
    lost_ack: float = TIMEOUT

    @property
    def options(self) -> tuple[str, ...]:
        """All option tags that are offered."""
        timer = ("timer",) if self.session_timer and "timer" not in self.extensions else ()
        return self.extensions + timer

    @property
    def lenient(self) -> Literal["", "offers", "all"]:
        """Which session descriptions are read leniently, see ``media.session.read``."""
        if self.on_syntax == "reject":
            return ""
        return "offers" if self.on_syntax == "drop" else "all"

    def ports_of(self, line: int) -> dict[Kind, int]:
        """The media ports of a line; each line has ten. Call this once a random ``rtp_port`` is drawn."""
        assert isinstance(self.rtp_port, int)
        base = self.rtp_port + 10 * line
        return {kind: base + _OFFSETS[kind] for kind in self.streams}
