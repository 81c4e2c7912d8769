"""Settings of a phone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lab.agents.audio import SILENCE, Signal
from lab.agents.renegotiation import Method
from lab.agents.session import Kind
from lab.wire.ip import Endpoint


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
    user_agent: str = "alglab-phone"
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
