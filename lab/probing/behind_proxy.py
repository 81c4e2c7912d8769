"""Undoes the changes that an honest proxy, configured in the client, may make, so that others show.

Such a proxy puts a Via on top and notes in ours where the request came from. It stays in the route
(Record-Route; for a REGISTER Path, RFC 3327), and decrements Max-Forwards (RFC 3261 section 16.6). It may
note in a Contact where the phone can be reached (``;alias=``). It answers 100 itself, and acknowledges
refusals itself (sections 16.7 and 17.1.1.3). It may change nothing else.
"""

from __future__ import annotations

import re
from typing import Final

from siplab.lab.probing.observation import Transit
from siplab.lab.wire.headers import name_addr, parse_uri, vias
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import Field, SipMessage

_SOURCE_NOTES: Final = re.compile(rb"\s*;\s*(?:rport|received)\s*(?:=[^;,\s]*)?", re.IGNORECASE)
_ALIAS: Final = re.compile(rb";alias=[^;>\s]*")


def without_proxy(payload: bytes, proxy: Endpoint, *, arrived: bool) -> bytes:
    """A message without the traces of ``proxy``. ``arrived``: it has passed the proxy: add one hop again."""
    message = SipMessage.parse(payload)
    if not message.is_sip:
        return payload
    kept: list[Field] = []
    for field in message.fields:
        if field.name == b"via":
            found = vias(field.value)
            if len(found) == 1 and _is(found[0].sent_by.bare_host, found[0].sent_by.port, proxy):
                continue
            if message.is_request:  # a response has what the proxy noted in the request
                field.value = _SOURCE_NOTES.sub(b"", field.value)
        elif field.name in (b"record-route", b"path"):
            uri = parse_uri(name_addr(field.value).uri)
            if uri is not None and _is(uri.bare_host, uri.port, proxy):
                continue
        elif field.name == b"max-forwards" and arrived and message.is_request:
            if field.value.isdigit() and len(field.value) < 4:
                field.value = b"%d" % (int(field.value) + 1)
        elif field.name == b"contact" and b";alias=" in field.value:
            field.value = _ALIAS.sub(b"", field.value)
        kept.append(field)
    message.fields = kept
    if message.is_request and b";alias=" in message.request_uri:
        message.request_uri = _ALIAS.sub(b"", message.request_uri)
    return bytes(message)


def is_proxys_own(transit: Transit) -> bool:
    """Whether a proxy itself makes or ends the message: a 100, and the ACK of a refusal."""
    if transit.kind.startswith("100 "):
        return True
    return transit.kind == "ACK" and transit.outbound and transit.sent is None


def _is(host: bytes, port: int | None, proxy: Endpoint) -> bool:
    return host == proxy.ip.encode() and (5060 if port is None else port) == proxy.port
