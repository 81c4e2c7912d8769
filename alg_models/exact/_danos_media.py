"""Media of DANOS: a stream's pinhole opens with the answer, and admits only the endpoint in the answer.

Facts: danos/vyatta-dataplane at 132bbda8, src/npf/alg/sip/sip_parse.c and sip_response.c.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address
from typing import Final

from siplab.alg_models.exact._danos_headers import exchanged
from siplab.lab.gateway.alg import Context
from siplab.lab.gateway.binding import NOBODY
from siplab.lab.gateway.binding_table import PortsExhaustedError
from siplab.lab.wire.ip import UDP, Endpoint
from siplab.lab.wire.sdp import Sdp, SdpLine, Section, address_of, set_address
from siplab.lab.wire.sip import SipMessage

_MOST: Final = 8  # m= lines; the rest is left alone
_HELD: Final = 32.0  # seconds that an offer waits for its answer, unless Expires says otherwise
_LONGEST: Final = 84600  # of Expires, in seconds
_OPEN: Final = 86400.0  # seconds; silence ends a pinhole sooner
_LIMIT: Final = 4096  # entries; packets make them, so there must be a bound
_PROVISIONAL, _OK = 183, 200


@dataclass(frozen=True)
class Stream:
    """One ``m=`` line: where its RTP (``media``) and RTCP (``reports``) are to go. ``plain``: not RTP."""

    media: Endpoint
    reports: Endpoint
    plain: bool


@dataclass
class Offers:
    """The offers of INVITEs, by flow and Call-ID.

    ``waiting``: offers without an answer, each with the time when it is forgotten. ``known``: their calls.
    """

    waiting: dict[tuple[Endpoint, Endpoint, bytes], tuple[list[Stream], float]] = field(default_factory=dict)
    known: dict[tuple[Endpoint, Endpoint, bytes], None] = field(default_factory=dict)

    def add(self, key: tuple[Endpoint, Endpoint, bytes], streams: list[Stream], until: float) -> None:
        for table in (self.waiting, self.known):
            if len(table) >= _LIMIT:
                del table[next(iter(table))]
        self.waiting[key] = streams, until
        self.known[key] = None


def describe(message: SipMessage, context: Context, offers: Offers, *, source_nat: bool) -> None:
    """Translate the session description of a message, and open pinholes; drops what the ALG does not accept.

    Call this before the headers are translated.
    """
    forward = context.outbound is source_nat
    key = (context.inside, context.remote, _public_call_id(message, context))
    method, status = message.method, message.status
    if message.is_request:
        if method in (b"BYE", b"CANCEL"):
            offers.waiting.pop(key, None)
        elif method == b"INVITE":
            streams = _managed(message, context, source_nat=source_nat)
            offers.add(key, streams, context.now + _patience(message))
    elif status is not None and status >= 300:
        offers.waiting.pop(key, None)
    elif method == b"INVITE" and status in (_PROVISIONAL, _OK) and not forward:
        if not has_description(message):
            if status == _PROVISIONAL:
                context.drop("183 without a session description")
            return
        streams, until = offers.waiting.pop(key, ([], -1.0))
        if until >= context.now:
            answered = _managed(message, context, source_nat=source_nat)
            if len(answered) != len(streams):
                context.drop("offer and answer have not as many m= lines")
            for asked, given in zip(streams, answered, strict=True):
                _admit(asked, given, context, source_nat=source_nat)
        elif status == _OK and key in offers.known:
            _managed(message, context, source_nat=source_nat)


def has_description(message: SipMessage) -> bool:
    """Whether there is a body, and Content-Type says that it is SDP."""
    kind, _, subtype = message.value(b"content-type").partition(b";")[0].partition(b"/")
    return b"application" in kind and b"sdp" in subtype and bool(message.body)


def _patience(message: SipMessage) -> float:
    value = message.value(b"expires")
    seconds = int(value) if value.isdigit() and len(value) < 7 else 0
    return float(seconds) if 0 < seconds <= _LONGEST else _HELD


def _public_call_id(message: SipMessage, context: Context) -> bytes:
    word, at, host = message.value(b"call-id").rpartition(b"@")
    return word + at + (context.outside.ip.encode() if host == context.inside.ip.encode() else host)


def _managed(message: SipMessage, context: Context, *, source_nat: bool) -> list[Stream]:
    """Read the streams, and translate the description if its sender is inside. Drops what it can't read."""
    if not has_description(message):
        context.drop("INVITE without a session description")
    sdp = Sdp.parse(message.body)
    old, new = exchanged(context)
    origin = sdp.session.first(b"o")
    if source_nat and origin is not None and address_of(origin) == old.ip.encode():
        set_address(origin, new.ip.encode())
    streams = []
    named: list[SdpLine] = []
    for section in sdp.media[:_MOST]:
        stream = _stream(sdp, section, context)
        streams.append(stream)
        line = sdp.connection(section)
        if context.outbound and line is not None and stream.media.ip == old.ip:
            _write(section, stream, context, source_nat=source_nat)
            named.append(line)
    session = sdp.session.first(b"c")
    if context.outbound and address_of(session) == old.ip.encode() and session is not None:
        named.append(session)
    for line in named:
        set_address(line, new.ip.encode())
    message.body = bytes(sdp)
    return streams


def _stream(sdp: Sdp, section: Section, context: Context) -> Stream:
    own = section.first(b"c")
    ip = _literal(own) or _literal(sdp.session.first(b"c"))
    if not ip:
        context.drop("a stream has no c= with an address")
    words = section.media.value.split() if section.media is not None else []
    transport = words[2] if len(words) > 2 else b""
    if b"UDP" not in transport and b"RTP" not in transport:
        context.drop(f"m= has neither UDP nor RTP but {transport.decode('latin-1')}")
    port = section.port or 0
    if not 0 < port < 65536:
        context.drop(f"m= has port {port}")
    plain = b"UDP" in transport
    reports = Endpoint(ip, min(port + 1, 65535))
    for line in section.attributes(b"rtcp")[:1]:
        said = line.value.removeprefix(b"rtcp:").split()
        if not plain and said and said[0].isdigit() and 0 < int(said[0][:6]) < 65536:
            reports = Endpoint(_address(said[3]) or ip if len(said) > 3 else ip, int(said[0]))
    return Stream(Endpoint(ip, port), reports, plain)


def _write(section: Section, stream: Stream, context: Context, *, source_nat: bool) -> None:
    """Write the public port of an inside stream. In a flow that began outside the port stays the same."""
    if not source_nat:
        return
    said = section.attributes(b"rtcp")[:1]
    pair = not stream.plain and not said and stream.media.port % 2 == 0
    try:
        section.port = _reserved(stream.media, context, pair=pair)
        for line in said if stream.reports.ip == stream.media.ip else ():
            words = line.value.removeprefix(b"rtcp:").split()
            words[0] = b"%d" % _reserved(stream.reports, context)
            words[3:4] = [context.outside.ip.encode()] if len(words) > 3 else []
            line.value = b"rtcp:" + b" ".join(words)
    except PortsExhaustedError:
        context.drop("no public port is left")


def _reserved(inside: Endpoint, context: Context, *, pair: bool = False) -> int:
    """A public port that admits nobody until the answer comes. Raises ``PortsExhaustedError``."""
    binding = context.nat.reserve(UDP, inside, context.now, pair=pair)
    for each in (binding, binding.pair):
        if each is not None:
            context.nat.open_pinhole(each, NOBODY, context.now + _OPEN, ("danos", context.inside))
            context.nat.limit_idle(each, context.nat.timeout_of(each, context.now), context.now)
    return binding.outside.port


def _admit(asked: Stream, given: Stream, context: Context, *, source_nat: bool) -> None:
    """Open pinholes between the two ends of a stream, and for nobody else."""
    inner, outer = (asked, given) if source_nat else (given, asked)
    pairs = [(inner.media, outer.media)]
    if not inner.plain:
        pairs.append((inner.reports, outer.reports))
    for inside, remote in pairs:
        if not context.is_inside(inside.ip):
            continue
        if source_nat:
            binding = context.nat.find(UDP, inside, remote, context.now)
        else:
            binding = context.nat.reserve_at(UDP, inside, inside.port, context.now)
        if binding is not None:
            context.nat.open_pinhole(binding, remote, context.now + _OPEN, ("danos", context.inside))
            context.nat.limit_idle(binding, context.nat.timeout_of(binding, context.now), context.now)


def _literal(line: SdpLine | None) -> str:
    return _address(address_of(line))


def _address(text: bytes) -> str:
    try:
        return str(IPv4Address(text.decode("latin-1")))
    except AddressValueError:
        return ""
