"""Unusual, but legal, ways in which some makes of phones write their messages.

ALGs that look for the usual spelling do not recognise these. A quirk changes a message as it leaves the
phone, but not its meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from siplab.lab.wire.sip import Field, SipMessage

Quirk = Literal[
    "capitals",
    "folded",
    "two-spaces",
    "trailing-header",
    "quoted-contact",
    "no-length",
    "few-hops",
    "contact-expires",
    "second-contact",
    "named-contact",
    "named-origin",
    "stream-address",
    "video-on-hold",
]
_HOST_NAME: Final = b"pbx.lan"
# Nobody listens there: it stands for a line of the phone that is registered and not plugged in.
_OTHER_PORT: Final = 5070


def styled(wire: bytes, quirks: tuple[Quirk, ...], ip: bytes) -> bytes:
    """The message as a phone at ``ip`` with these quirks writes it. If it is not SIP, it is not changed."""
    message = SipMessage.parse(wire)
    if not message.is_sip:
        return wire
    for each in quirks:
        _STYLES[each](message, ip)
    return bytes(message)


def _capitals(message: SipMessage, ip: bytes) -> None:
    """RFC 3261 section 7.3.1: the case of header names has no meaning."""
    for at, field in enumerate(message.fields):
        name, colon, rest = field.raw.partition(b":")
        message.fields[at] = Field(name.upper() + colon + rest)


def _folded(message: SipMessage, ip: bytes) -> None:
    """RFC 3261 section 7.3.1: a value may continue on a line that begins with white space."""
    for at, field in enumerate(message.fields):
        if field.name == b"contact":
            message.fields[at] = Field(field.raw.replace(b": ", b":\r\n ", 1))


def _two_spaces(message: SipMessage, ip: bytes) -> None:
    """RFC 3261 section 25.1: any amount of white space may be between protocol and host."""
    for field in message.all(b"via"):
        at = field.value.find(b" " + ip)
        if at >= 0:
            field.replace(at, at, b" ")


def _trailing_header(message: SipMessage, ip: bytes) -> None:
    """The order of header fields is free: Content-Length need not be the last."""
    message.fields.append(Field.make(b"Organization", b"The Lab"))


def _quoted_contact(message: SipMessage, ip: bytes) -> None:
    """A display name may contain anything (RFC 3261 section 25.1, ``quoted-string``)."""
    field = message.get(b"from")
    if field is not None and not message.is_response and field.value.startswith(b"<"):
        field.value = b'"Contact: <sip:office@%b:5060>" ' % ip + field.value


def _no_length(message: SipMessage, ip: bytes) -> None:
    """RFC 3261 section 20.14: over UDP the body ends with the datagram."""
    message.fields = [field for field in message.fields if field.name != b"content-length"]


def _few_hops(message: SipMessage, ip: bytes) -> None:
    """RFC 3261 section 20.22: any number up to 255; this one is enough for one proxy, the provider's."""
    for field in message.all(b"max-forwards"):
        field.value = b"1"


def _contact_expires(message: SipMessage, ip: bytes) -> None:
    """RFC 3261 section 10.2.1.1: a registration's lifetime may be a parameter of its Contact."""
    lifetime, contact = message.get(b"expires"), message.get(b"contact")
    if message.method != b"REGISTER" or lifetime is None or contact is None or contact.value == b"*":
        return
    contact.value += b";expires=" + lifetime.value
    message.fields = [field for field in message.fields if field is not lifetime]


def _second_contact(message: SipMessage, ip: bytes) -> None:
    """RFC 3261 section 10.2.1: one REGISTER may list several Contacts."""
    contact = message.get(b"contact")
    if message.method == b"REGISTER" and not message.is_response and contact and contact.value != b"*":
        user = message.value(b"to").partition(b"sip:")[2].partition(b"@")[0]
        contact.value = b"<sip:%b@%b:%d>, " % (user, ip, _OTHER_PORT) + contact.value


def _named_contact(message: SipMessage, ip: bytes) -> None:
    """RFC 3261 section 19.1.1: a URI's host may be a name."""
    for field in message.all(b"contact"):
        at = field.value.find(b"@" + ip)
        if at >= 0:
            field.replace(at + 1, at + 1 + len(ip), _HOST_NAME)


def _named_origin(message: SipMessage, ip: bytes) -> None:
    """RFC 8866 section 5.2: the host of o= may be a name, too."""
    lines = message.body.split(b"\r\n")
    _set_body(message, [line.replace(ip, _HOST_NAME) if line[:2] == b"o=" else line for line in lines])


def _stream_address(message: SipMessage, ip: bytes) -> None:
    """RFC 8866 section 5.7: every stream may have a c= line of its own."""
    _own_lines(message, b"m=", _connection(ip))


def _video_on_hold(message: SipMessage, ip: bytes) -> None:
    """RFC 3264 section 8.4: the old way of holding, here for one stream of two."""
    _own_lines(message, b"m=video", _connection(b"0.0.0.0"))


def _connection(address: bytes) -> bytes:
    return b"c=IN IP%d %b" % (6 if b":" in address else 4, address)


def _own_lines(message: SipMessage, beginning: bytes, added: bytes) -> None:
    lines: list[bytes] = []
    for line in message.body.split(b"\r\n"):
        lines.append(line)
        if line.startswith(beginning):
            lines.append(added)
    _set_body(message, lines)


def _set_body(message: SipMessage, lines: list[bytes]) -> None:
    message.body = b"\r\n".join(lines)
    message.fit_content_length()


_STYLES: Final[dict[Quirk, Callable[[SipMessage, bytes], None]]] = {
    "capitals": _capitals,
    "folded": _folded,
    "two-spaces": _two_spaces,
    "trailing-header": _trailing_header,
    "quoted-contact": _quoted_contact,
    "no-length": _no_length,
    "few-hops": _few_hops,
    "contact-expires": _contact_expires,
    "second-contact": _second_contact,
    "named-contact": _named_contact,
    "named-origin": _named_origin,
    "stream-address": _stream_address,
    "video-on-hold": _video_on_hold,
}
