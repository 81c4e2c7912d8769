"""What DANOS writes into headers: one table per direction, message and kind of NAT.

An address is translated where it equals the address that the NAT translates. The port beside it, if any,
becomes the flow's port. Facts: danos/vyatta-dataplane at 132bbda8, src/npf/alg/sip/sip_translate.c.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from siplab.lab.gateway.alg import Context
from siplab.lab.wire.headers import HostPort, sent_bys, uris
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import Field, SipMessage


class _Kind(NamedTuple):
    """``source_nat``: the flow began inside. ``forward``: the message goes the way of its first packet."""

    source_nat: bool
    response: bool
    forward: bool


_TABLES: Final[dict[_Kind, tuple[bytes, ...]]] = {
    _Kind(True, False, True): (
        *(b"from", b"user-agent", b"call-id", b"via", b"contact", b"record-route", b"route"),
        *(b"p-asserted-identity", b"p-preferred-identity"),
    ),
    _Kind(True, False, False): (b"request-uri", b"to", b"call-id"),
    _Kind(True, True, True): (b"to", b"contact", b"record-route", b"from", b"call-id", b"via"),
    _Kind(True, True, False): (b"from", b"call-id", b"via", b"record-route", b"route"),
    _Kind(False, False, True): (b"request-uri", b"to"),
    _Kind(False, False, False): (
        *(b"request-uri", b"contact", b"to", b"p-asserted-identity", b"p-preferred-identity"),
    ),
    _Kind(False, True, True): (b"to", b"record-route", b"route"),
    _Kind(False, True, False): (b"to", b"contact", b"record-route", b"route"),
}
_TEXTS: Final = frozenset({b"user-agent", b"p-asserted-identity", b"p-preferred-identity"})


def exchanged(context: Context) -> tuple[Endpoint, Endpoint]:
    """The endpoint that the NAT replaces in this direction, and the endpoint that it puts in its place."""
    ends = (context.inside, context.outside)
    return ends if context.outbound else (ends[1], ends[0])


def translate(message: SipMessage, context: Context, *, source_nat: bool) -> None:
    """Translate addresses as the message's table says."""
    old, new = exchanged(context)
    names = _TABLES[_Kind(source_nat, message.is_response, context.outbound is source_nat)]
    if b"request-uri" in names and message.is_request:
        uri = message.request_uri
        for place in uris(uri)[:1]:
            if place.host == old.ip.encode():
                message.request_uri = uri[: place.start] + _written(place, new) + uri[place.end :]
    for field in message.fields:
        if field.name not in names:
            continue
        if field.name in _TEXTS:
            _in_text(field, old, new)
        elif field.name == b"call-id":
            word, at, host = field.value.rpartition(b"@")
            if at and host == old.ip.encode():
                field.value = word + at + new.ip.encode()
        else:
            places = (
                [each for each, _ in sent_bys(field.value)] if field.name == b"via" else uris(field.value)
            )
            field.replace_all(
                (each.start, each.end, _written(each, new))
                for each in reversed(places)
                if each.host == old.ip.encode()
            )


def _written(place: HostPort, new: Endpoint) -> bytes:
    return new.ip.encode() + (b"" if place.port is None else b":%d" % new.port)


def _in_text(field: Field, old: Endpoint, new: Endpoint) -> None:
    """Translate the first occurrence of the address, whatever is around it; in User-Agent not the port."""
    port = rb"" if field.name == b"user-agent" else rb"(:\d{1,5}(?!\d))?"
    found = re.search(re.escape(old.ip.encode()) + port, field.value)
    if found is not None:
        beside = b":%d" % new.port if found.lastindex else b""
        field.replace(found.start(), found.end(), new.ip.encode() + beside)
