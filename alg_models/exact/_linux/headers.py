"""The header pass: the translations in every message, whatever its method and direction."""

from __future__ import annotations

from typing import Final

from siplab.alg_models.exact._linux.expectations import TIMEOUT
from siplab.alg_models.exact._linux.flow import View
from siplab.alg_models.exact._linux.register import expect_calls, write_contact
from siplab.alg_models.exact._linux.scan import (
    CONTACT,
    FROM,
    RECORD_ROUTE,
    ROUTE,
    TO,
    VIA_TCP,
    VIA_UDP,
    Found,
    Marker,
)
from siplab.lab.gateway.context import Context
from siplab.lab.wire.ip import Endpoint

_MADDR: Final = Marker.of(b"maddr=")
_RECEIVED: Final = Marker.of(b"received=")
_RPORT: Final = Marker.of(b"rport=")


def translate_headers(view: View) -> None:
    """Spec 1.4: Request-URI, the first Via with its parameters, all Contacts, From and To."""
    payload = view.payload
    request = not payload.starts(b"SIP/2.0")
    if request:
        uri = payload.request_uri()
        if uri and uri.endpoint:
            _map(view, uri, uri.endpoint)
    _via(view, request=request)
    # If the value has shrunk, the next search may begin behind the comma that follows it.
    contact = payload.uri(CONTACT)
    while contact and contact.endpoint:
        _map(view, contact, contact.endpoint)
        contact = payload.uri(CONTACT, contact.end, in_header=True)
    for header in (FROM, TO, RECORD_ROUTE, ROUTE) if view.settings.routes else (FROM, TO):
        found = payload.uri(header)
        if found and found.endpoint:
            _map(view, found, found.endpoint)
    _force_port(view, view.context)


def _map(view: View, found: Found, endpoint: Endpoint) -> None:
    """Write what MAP makes of an address. Some vendors open a pinhole if a header names another port."""
    own_port = endpoint.port == view.source.port
    if (
        view.settings.kernel.other_port != "pinhole"
        or endpoint.ip != view.source.ip
        or own_port
        or not view.nat
    ):
        view.map(found.offset, found.end, endpoint)
        return
    write_contact(view, found, expect_calls(view, endpoint, "", TIMEOUT, active=True))


def _via(view: View, *, request: bool) -> None:
    """Spec 1.4 b: translate a Via only if it names the packet's sender, or in a response its receiver."""
    payload, settings = view.payload, view.settings
    via = payload.uri(VIA_TCP if view.tcp else VIA_UDP)
    if via is None or via.endpoint is None:
        return
    named = view.source if request else view.destination
    kernel = settings.kernel
    theirs = via.endpoint.ip != named.ip or (kernel.via_port and via.endpoint.port != named.port)
    if theirs and not kernel.via_any:
        return
    before = len(payload.data)
    _map(view, via, via.endpoint)
    end = via.end
    if settings.kernel.shifts_parameters:
        end += len(payload.data) - before

    maddr = payload.address_parameter(end, _MADDR, delimited=True)
    if maddr and maddr.endpoint:
        _exchange(
            view, maddr.offset, maddr.end, maddr.endpoint.ip, view.source, view.new_source, brackets=True
        )
    received = payload.address_parameter(end, _RECEIVED, delimited=False)
    if received and received.endpoint:
        _exchange(
            view, received.offset, received.end, received.endpoint.ip, view.destination, view.new_destination
        )
    rport = payload.number_parameter(end, _RPORT)
    if rport is not None:
        begin, number = rport
        old, new = view.destination.port, view.new_destination.port
        if number.end > begin and number.value & 0xFFFF == old != new:
            sensible = 1024 <= number.value <= 65535
            if sensible or not settings.kernel.hardened:
                payload.replace(begin, number.end, b"%d" % new)


def _exchange(
    view: View, begin: int, end: int, ip: str, old: Endpoint, new: Endpoint, *, brackets: bool = False
) -> None:
    """If a parameter's address is that end of the packet, write the translated address."""
    if ip == old.ip != new.ip:
        text = f"[{new.ip}]" if brackets and ":" in new.ip else new.ip
        view.payload.replace(begin, end, text.encode())


def _force_port(view: View, context: Context) -> None:
    """Spec 1.5: packets that come back on this flow go to the port that the phone's Via named."""
    flow = view.flow
    if not flow.forced_dport or context.outbound == flow.first_outbound:
        return
    if view.tcp:
        context.drop("a port in Via that is not the phone's own, over TCP")
    context.deliver_elsewhere(Endpoint(context.inside.ip, flow.forced_dport))
