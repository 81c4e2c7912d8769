"""How a phone arranges its messages: the order of its header fields, and optional fields.

RFC 3261 section 7.3.1: the order of fields with different names has no meaning. The order of fields with the
same name has, and is kept. The fields that proxies need should be on top, and are.
"""

from __future__ import annotations

from typing import Final

from siplab.lab.wire.sip import Field, SipMessage

_ON_TOP: Final = (
    b"via",
    b"route",
    b"record-route",
    b"proxy-require",
    b"max-forwards",
    b"proxy-authorization",
)
# The requests in which all optional fields are allowed (RFC 3261 table 2, RFC 6665 section 8.2.2).
_WITH_OPTIONAL: Final = (b"INVITE", b"REGISTER", b"OPTIONS")


def arranged(wire: bytes, order: tuple[str, ...], optional: tuple[str, ...]) -> bytes:
    """The message with ``optional`` header lines (``Name: value``), and its fields in ``order``.

    ``order``: canonical names in lower case. Fields that it does not name come before those that it names.
    The fields that section 7.3.1 wants on top stay there. A message that is not SIP is not changed.
    """
    message = SipMessage.parse(wire)
    if not message.is_sip:
        return wire
    if optional and message.is_request and message.method in _WITH_OPTIONAL:
        added = [Field(line.encode() + b"\r\n") for line in optional]
        at = _end_of_top(message)
        message.fields[at:at] = added
    if order:
        rank = {name.encode(): place for place, name in enumerate(order, 1)}
        message.fields.sort(key=lambda field: -1 if field.name in _ON_TOP else rank.get(field.name, 0))
    return bytes(message)


def _end_of_top(message: SipMessage) -> int:
    """The number of the first field that need not be on top."""
    numbers = (number for number, field in enumerate(message.fields) if field.name not in _ON_TOP)
    return next(numbers, len(message.fields))
