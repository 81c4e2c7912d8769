"""Settings of a phone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from siplab.lab.media.audio import SILENCE, Signal
from siplab.lab.media.ice import Ice
from siplab.lab.media.rtcp import Rtcp
from siplab.lab.media.session import Kind
from siplab.lab.phone.quirks import Quirk
from siplab.lab.sip.base import Transport
from siplab.lab.sip.streams import Framing
from siplab.lab.wire.ip import DEFAULT_MTU, Endpoint

Method = Literal["INVITE", "UPDATE"]

# From the first port of a line. RTCP has the odd ones.
_OFFSETS: Final[dict[Kind, int]] = {"audio": 0, "video": 2, "image": 4}


@dataclass(frozen=True, slots=True)
class PhoneConfig:
    """Settings of a phone; times in seconds.

    ``server`` is registrar and outbound proxy. ``ring_time`` lies between 180 and 200 when called.
    ``signal`` is what it says; ``media_packets`` bounds the packets of
    each stream, ``None``: as long as the call is up. ``latching``: send media to where they come from
    (symmetric RTP). ``strict_request_uri``: a request must name our host and port too, not only our
    user. ``compact``: use compact header names (RFC 3261 section 7.3.3).

    ``extensions``: option tags that are offered, of ``100rel`` (RFC 3262), ``timer`` (RFC 4028) and
    ``replaces`` (RFC 3891). ``session_expires`` seconds are asked for with ``timer``; ``refresher`` is whom a
    callee lets refresh, ``refresh_method`` how we do it. ``early_media``: answer in a 183 while it rings.
    ``late_offer``: call without an offer. ``padding`` bytes of a header are added to each INVITE.
    ``ring_time`` ``None``: only ``answer`` answers. ``lines``: calls at a time; another one is busy (486).
    ``streams``: the kinds of media that it can do; a call begins with audio, and with video where it can.

    ``source_port``: SIP is sent from it while ``sip_port`` is announced and listened at, 0: one port for
    both. ``rtp_source_offset``: media are sent from that many ports above where they are received.
    ``keepalive``: what is sent to the server every ``keepalive_interval`` seconds while registered.
    ``media_keepalive``: seconds between packets on a stream that says nothing, 0 for none (RFC 6263).
    ``stun``: a STUN server that is asked for the public endpoint of each socket (RFC 8489), which is then
    announced, and asked again every ``keepalive_interval``. ``strict_contact``: a 200 to a REGISTER that does
    not list our Contact counts as a failure (RFC 3261 section 10.2.4).
    ``transport``: of SIP. Over TCP there is one connection to the server, which is kept; ``framing`` says how
    messages are cut into segments, whose size follows from the ``mtu`` of the phone's link in bytes.
    ``rtcp``: whether and where reports on the media are sent (RFC 3550, RFC 3605, RFC 5761). ``ice``: the
    phone finds the way of media itself (RFC 8445); ``ice_server`` is the STUN server that it asks then.
    ``srtp``: media are encrypted with keys from the description, and nothing else is taken (RFC 4568).
    ``secure_port``: SIP to that port of the server is sealed (``siplab.lab.sip.pseudo_tls``).

    ``quirks``: ways of writing that are unusual (``lab.phone.quirks``). ``contact_port``: whether Contact
    names port 5060, which needs no naming. ``announced_port``: what Via and Contact say, though it is not so,
    0 for the truth. ``strict_media``: the other side's descriptions are taken at their word: media from
    elsewhere than announced, and a later offer with another o= (RFC 3264 section 8), are refused.
    """

    user: str
    domain: str
    password: str
    ip: str
    server: Endpoint
    sip_port: int = 5060
    expires: int = 3600
    retry_after: float = 60.0
    rport: bool = True
    rtp_port: int = 40000
    ring_time: float | None = 1.0
    media_packets: int | None = None
    signal: Signal = SILENCE
    latching: bool = False
    strict_request_uri: bool = False
    user_agent: str = "siplab-phone"
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
    keepalive: Literal["", "crlf", "options"] = ""
    keepalive_interval: float = 25.0
    media_keepalive: float = 0.0
    stun: Endpoint | None = None
    strict_contact: bool = False
    transport: Transport = "udp"
    framing: Framing = "whole"
    mtu: int = DEFAULT_MTU
    secure_port: int = 0
    rtcp: Rtcp = ""
    ice: Ice = ""
    ice_server: Endpoint | None = None
    srtp: bool = False
    quirks: tuple[Quirk, ...] = ()
    contact_port: bool = True
    announced_port: int = 0
    strict_media: bool = False

    def ports_of(self, line: int) -> dict[Kind, int]:
        """The media ports of a line: each has ten of its own."""
        base = self.rtp_port + 10 * line
        return {kind: base + _OFFSETS[kind] for kind in self.streams}
