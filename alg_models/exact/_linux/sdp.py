"""Session descriptions: which media the ALG expects, and what it writes."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

from siplab.alg_models.exact._linux.expectations import Expectation, Kind, Verdict
from siplab.alg_models.exact._linux.flow import View
from siplab.alg_models.exact._linux.scan import CONNECTION, CONTENT_LENGTH, OWNER, VERSION, Found, SdpLine
from siplab.lab.wire.ip import UDP, Endpoint

_KINDS: Final = {b"audio ": Kind.AUDIO, b"video ": Kind.VIDEO, b"image ": Kind.IMAGE}


ExpectMedia = Callable[[View, Kind, Endpoint, int, int], str]


def process_sdp(view: View, expect: ExpectMedia | None = None) -> int:
    """Spec 1.7: expect the media of the first streams, and write the router's address for inside ones.

    Returns how many streams were looked at: at most the kernel's ``streams``.
    """
    payload, context = view.payload, view.context
    version = payload.sdp_number(VERSION, 0)
    if version is None:
        return 0
    begin = version.offset
    session = payload.sdp_address(CONNECTION, begin)
    address = session.endpoint.ip if session and session.endpoint else ""
    kernel = view.settings.kernel
    chosen = address if kernel.session_needs_address else ""
    at, streams = begin, 0
    while streams < kernel.streams:
        media = payload.sdp_media(at)
        if media is None:
            break
        at = media.offset
        kind = _KINDS.get(payload.data[at : at + 6])
        unknown = (kind is Kind.IMAGE and not kernel.image) or (kind is Kind.VIDEO and not kernel.video)
        if kind is None or media.end - at < 6 or unknown:
            at = media.end
            continue
        at += 6
        port = payload.number(at)
        if port.end == at or port.value == 0:
            continue
        if not 1024 <= port.value <= 65535:
            context.drop(f"m= has port {port.value}")
        own = payload.sdp_address(CONNECTION, at)
        chosen = own.endpoint.ip if own and own.endpoint else address
        if not chosen:
            context.drop("no c= with an address for m=")
        chosen = (expect or expect_media)(view, kind, Endpoint(chosen, port.value), at, media.end)
        if own and view.nat:
            _write_address(view, CONNECTION, at, chosen)
        streams += 1
    if chosen and view.nat:
        _write_session(view, begin, chosen)
    return streams


def expect_media(view: View, kind: Kind, media: Endpoint, begin: int, end: int) -> str:
    """Expect RTP and RTCP for one stream, and write its port; returns the address to write for it."""
    settings, source = view.settings, ""
    if settings.direct_media:
        if media.ip != view.source.ip:
            return media.ip
        source = view.new_destination.ip
    elif settings.external_media and _beyond(view, media.ip):
        return media.ip
    return expect_from(view, kind, source, media, begin, end)


def expect_from(view: View, kind: Kind, source: str, media: Endpoint, begin: int, end: int) -> str:
    """Like ``expect_media``, but for media of any host, from the address ``source`` (empty: from anybody)."""
    context = view.context
    direct = False
    target = media
    while True:
        known = view.memory.expectations.find(UDP, source, target, context.now)
        if known is None or known.master is view.flow or known.kind is not kind:
            break
        if direct or known.saved == known.destination or not view.nat:
            # Another flow expects these media already: no new expectation is needed.
            if direct:
                write_port(view, begin, end, target.port & ~1)
            return target.ip
        target, direct = known.saved, True
    base = target.port & ~1
    if direct:
        write_port(view, begin, end, base)

    inside = Endpoint(target.ip, base)
    translated = view.nat and not direct
    ip = view.new_source.ip if translated and view.source.ip != view.new_source.ip else target.ip
    port = reserve(view, kind, source, Endpoint(ip, base), inside, search=translated)
    if not port:
        context.drop("all ports in use for media" if translated else "expectations can't be made")
    if translated and port != base:
        write_port(view, begin, end, port)
    return ip


def _beyond(view: View, ip: str) -> bool:
    """Whether the route to an address leaves by the same interface as this packet.

    The kernel asks its routing table, in which 0.0.0.0 and 127.x lead to the loopback interface.
    """
    context, address = view.context, ip_address(ip)
    if address.is_unspecified or address.is_loopback:
        return False
    return ip != context.nat.public_ip and context.is_inside(ip) is not context.outbound


def reserve(view: View, kind: Kind, source: str, wanted: Endpoint, saved: Endpoint, *, search: bool) -> int:
    """Expect a pair of ports, searching upwards from the wanted port; returns the first of the two, or 0."""
    expectations, context, kernel = view.memory.expectations, view.context, view.settings.kernel

    def relate(offset: int, port: int) -> tuple[Expectation, Verdict]:
        new = Expectation(
            view.flow,
            kind,
            UDP,
            source,
            Endpoint(wanted.ip, port + offset),
            Endpoint(saved.ip, saved.port + offset),
        )
        symmetric = kernel.source_port_kept or port == saved.port
        return new, expectations.relate(new, context, skip_master=kernel.skips_master, symmetric=symmetric)

    # Where nothing is translated, an equal expectation of another flow will do.
    fine = (Verdict.DONE,) if search else (Verdict.DONE, Verdict.ALREADY)
    for port in range(wanted.port, 65536, 2):
        first, rtp = relate(0, port)
        if rtp in fine:
            _, rtcp = relate(1, port)
            if rtcp in fine:
                return port
            if rtp is Verdict.DONE and kernel.frees_rtp:
                expectations.remove(first, context)
            rtp = rtcp
        if not search or (rtp is Verdict.ALREADY and kernel.search_stops):
            return 0
    return 0


def _write(view: View, found: Found, text: bytes) -> None:
    view.payload.replace(found.offset, found.end, text)


def write_port(view: View, begin: int, end: int, port: int) -> None:
    view.payload.replace(begin, end, b"%d" % port)
    _write_length(view)


def _write_address(view: View, line: SdpLine, begin: int, ip: str) -> None:
    found = view.payload.sdp_address(line, begin)
    if found is None:
        view.context.drop("c= was not found again")
        return
    _write(view, found, ip.encode())
    _write_length(view)


def _write_session(view: View, begin: int, ip: str) -> None:
    """o= and the session's c= get the address of the stream that was looked at last."""
    owner = view.payload.sdp_address(OWNER, begin)
    if owner is None:
        view.context.drop("o= is missing, or names no address")
        return
    _write(view, owner, ip.encode())
    connection = view.payload.sdp_address(CONNECTION, begin)
    if connection is not None:
        _write(view, connection, ip.encode())
    _write_length(view)


def _write_length(view: View) -> None:
    """Content-Length becomes what stands from "v=" to the end, whatever else the body holds."""
    payload = view.payload
    version = payload.sdp_number(VERSION, 0)
    length = payload.header(CONTENT_LENGTH)
    if version is None or isinstance(length, int):
        view.context.drop("no Content-Length to write")
        return
    _write(view, length, b"%d" % (len(payload.data) - version.offset + 2))
