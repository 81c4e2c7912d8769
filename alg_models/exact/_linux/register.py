"""REGISTER: the pinhole for calls, kept open as long as the registration lasts."""

from __future__ import annotations

from typing import Final

from siplab.alg_models.exact._linux.expectations import TIMEOUT, Expectation, Kind, Verdict
from siplab.alg_models.exact._linux.flow import View
from siplab.alg_models.exact._linux.scan import CONTACT, EXPIRES, Found, Marker
from siplab.lab.wire.ip import Endpoint

_TRANSPORT: Final = Marker.of(b"transport=")
_EXPIRES: Final = Marker.of(b"expires=")
_TRIES: Final = 128


def register_request(view: View, cseq: int) -> None:
    """Spec 1.9: expect calls at the Contact, inactive until the registrar agrees."""
    payload, context, flow = view.payload, view.context, view.flow
    if flow.expected:
        return
    seconds = expires_header(view)
    contact = payload.uri(CONTACT)
    if contact is None:
        return
    if contact.endpoint is None:
        context.drop("Contact can't be read")
        return
    if contact.endpoint.ip != view.source.ip or not same_transport(view, contact.end):
        return
    seconds = expires_parameter(view, contact.end, seconds)
    if seconds:
        source = view.new_destination.ip if view.settings.direct_signalling else ""
        active = view.settings.calls_at_once
        write_contact(view, contact, expect_calls(view, contact.endpoint, source, TIMEOUT, active=active))
    flow.register_cseq = cseq


def expect_calls(
    view: View,
    contact: Endpoint,
    source: str,
    seconds: float,
    *,
    active: bool,
    kind: Kind = Kind.SIGNALLING,
) -> int:
    """Expect calls for a Contact at the flow's own port, the Contact's or another; returns the port, or 0.

    The expectation of a registration stays when a call comes; one of another ``kind`` ends then.
    """
    context, flow, settings = view.context, view.flow, view.settings
    wanted = contact.port
    if wanted == (flow.forced_dport or view.source.port):
        wanted = view.new_source.port
    for tried in range(_TRIES + 1 if settings.kernel.hardened else 65536 - wanted):
        port = wanted
        if tried:
            hardened = settings.kernel.hardened
            port = wanted + (context.rng.randrange(65535 - wanted or 1) if hardened else tried)
        new = Expectation(
            flow,
            kind,
            context.protocol,
            source,
            Endpoint(view.new_source.ip, port),
            contact,
            permanent=kind is Kind.SIGNALLING,
            active=active,
        )
        verdict = view.memory.expectations.relate(
            new, context, skip_master=False, symmetric=True, seconds=seconds
        )
        if verdict is Verdict.DONE:
            return port
        if not view.nat or (verdict is Verdict.ALREADY and settings.kernel.search_stops):
            return 0
    return 0


def write_contact(view: View, contact: Found, port: int) -> None:
    """Write the router's address and the expected port into the Contact; 0 (no port) drops the packet."""
    if not port:
        view.context.drop("all ports in use for SIP")
    new = Endpoint(view.new_source.ip, port)
    if new != contact.endpoint:
        view.payload.replace(contact.offset, contact.end, str(new).encode())


def register_response(view: View, cseq: int, code: int) -> None:
    """Spec 1.9: a 2xx activates the request's expectation; other final answers, a challenge too, end it."""
    payload, context, flow = view.payload, view.context, view.flow
    if flow.register_cseq != cseq or 100 <= code <= 199:
        return
    if 200 <= code <= 299:
        header = expires_header(view)
        contact = payload.uri(CONTACT)
        while contact is not None:
            if contact.endpoint is None:
                context.drop("Contact can't be read")
                return
            if contact.endpoint.ip == view.destination.ip and same_transport(view, contact.end):
                seconds = expires_parameter(view, contact.end, header)
                if not seconds:
                    break
                if _refresh(view, contact.endpoint, seconds):
                    return
            contact = payload.uri(CONTACT, contact.end, in_header=True)
    view.memory.expectations.flush(flow, context, media=False)


def _refresh(view: View, contact: Endpoint, seconds: int) -> bool:
    """Activate the expectation of a Contact for ``seconds``; returns whether there is one."""
    expectations, context = view.memory.expectations, view.context
    for each in expectations.of(view.flow, context.now):
        if each.kind is Kind.SIGNALLING and each.destination == contact and each.protocol == context.protocol:
            expectations.activate(each, seconds, context)
            return True
    return False


def expires_header(view: View, default: int = 0) -> int:
    """The seconds in the header Expires, or ``default``."""
    found = view.payload.header(EXPIRES)
    return default if isinstance(found, int) else view.payload.number(found.offset).value


def expires_parameter(view: View, at: int, seconds: int) -> int:
    """The Contact's own expires=, or else ``seconds``."""
    found = view.payload.number_parameter(at, _EXPIRES)
    if found is None:
        return seconds
    begin, number = found
    if number.end == begin and view.settings.kernel.hardened:
        view.context.drop("expires= is not a number")
    return number.value


def same_transport(view: View, at: int) -> bool:
    """Whether a Contact names no transport, or that of the message."""
    if not view.settings.kernel.checks_transport:
        return True
    named = view.payload.text_parameter(at, _TRANSPORT)
    return named is None or named == (b"TCP" if view.tcp else b"UDP")
