"""What an honest proxy, which the client was told to use, may do to a message: taken back, so that the rest
shows.

It puts a Via on top and notes in ours where we came from, stays in the route (Record-Route; for a REGISTER
Path, RFC 3327), counts Max-Forwards down (RFC 3261 section 16.6), and may note in a Contact where the phone
is to be found (``;alias=``). It answers 100 itself, and acknowledges refusals itself (section 16.7 and
17.1.1.3). Nothing else is its business.
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
    """A message without the traces of ``proxy``. ``arrived``: it has passed it, so one hop is given back."""
    message = SipMessage.parse(payload)
    if not message.is_sip:
        return payload
    kept: list[Field] = []
    for field in message.fields:
        if field.name == b"via":
            found = vias(field.value)
            if len(found) == 1 and _is(found[0].sent_by.bare_host, found[0].sent_by.port, proxy):
                continue
            if message.is_request:  # an answer brings back what the proxy noted
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
    """Whether it is a message that a proxy makes, or ends, by itself: 100, and the ACK of a refusal."""
    if transit.kind.startswith("100 "):
        return True
    return transit.kind == "ACK" and transit.outbound and transit.sent is None


def _is(host: bytes, port: int | None, proxy: Endpoint) -> bool:
    return host == proxy.ip.encode() and (5060 if port is None else port) == proxy.port
