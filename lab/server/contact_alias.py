"""A note in a Contact of its sender's real endpoint, as Kamailio's ``set_contact_alias`` writes it.

``<sip:alice@192.168.1.20>`` becomes ``<sip:alice@192.168.1.20;alias=203.0.113.7~61002~1>``: address, port,
and 1 for UDP, 2 for TCP, 3 for TLS. A server that gets a request for that URI sends it to that endpoint,
without the note.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from siplab.lab.sip.base import SipTransport
from siplab.lab.sip.dialog import next_hop
from siplab.lab.sip.messages import address_text, name_addr_of, transport_of, uri_of
from siplab.lab.wire.headers import split_list
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import Field

_ALIAS: Final = b";alias="
_NUMBERS: Final[dict[SipTransport, bytes]] = {"udp": b"1", "tcp": b"2", "tls": b"3"}


class Alias(NamedTuple):
    """The endpoint of the URI's owner."""

    endpoint: Endpoint
    transport: SipTransport


def read(value: bytes) -> Alias | None:
    """The parsed ``ip~port~number``; ``None`` for anything else. An unknown number stands for UDP."""
    words = value.split(b"~")
    if len(words) != 3 or not words[1].isdigit() or not 0 < int(words[1][:6]) < 65536:
        return None
    ip = address_text(words[0])
    if ip is None:
        return None
    transport: SipTransport = next((each for each, number in _NUMBERS.items() if number == words[2]), "udp")
    return Alias(Endpoint(ip, int(words[1])), transport)


def needed(field: Field, alias: Alias) -> bool:
    """Whether a note is needed: one readable Contact without a note, whose URI leads elsewhere."""
    if _ALIAS in field.value or len(split_list(field.value)) > 1:
        return False
    text = name_addr_of(field.value).uri
    return uri_of(text) is not None and (next_hop(text), transport_of(text)) != alias


def noted(field: Field, alias: Alias) -> bytes:
    """The line of a Contact with the note."""
    value, text = field.value, name_addr_of(field.value).uri
    ip, port = alias.endpoint.ip.encode(), alias.endpoint.port
    note = b"%b%b~%d~%b" % (_ALIAS, ip, port, _NUMBERS[alias.transport])
    head, opening, tail = value.partition(b"<" + text + b">")
    if not opening:  # an addr-spec: a parameter after it belongs to the header
        head, _, tail = value.partition(text)
    return field.raw[: field.value_offset] + head + b"<" + text + note + b">" + tail + b"\r\n"


def without(uri: bytes) -> bytes:
    """The URI without its alias."""
    head, _, rest = uri.partition(_ALIAS)
    end = min((at for at in (rest.find(b";"), rest.find(b"?")) if at >= 0), default=len(rest))
    return head + rest[end:]


def bare(field: Field) -> bytes:
    """The line of a Contact with one value, without the alias."""
    text = name_addr_of(field.value).uri
    return field.raw.replace(text, without(text), 1)
