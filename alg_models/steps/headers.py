"""Steps that translate addresses in header fields and in the Request-URI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from alg_models.steps.addresses import DEFAULT_PORT, translate
from lab.gateway.alg import Context
from lab.wire.headers import has_address, parameter_spans, sent_bys, uris
from lab.wire.ip import Endpoint
from lab.wire.sip import Field, SipMessage

# Every header of RFC 3261 and its extensions whose URI tells somebody where to send a request.
LOCATION_HEADERS: Final = (
    "contact",
    "record-route",
    "route",
    "path",
    "service-route",
    "refer-to",
    "referred-by",
)
_IDENTITY: Final = frozenset({b"from", b"to"})


@dataclass(frozen=True)
class TranslateVia:
    """Translate the sent-by of Via, and ``received``, ``rport`` and ``maddr`` beside it (RFC 3261 18.2)."""

    def apply(self, message: SipMessage, context: Context) -> None:
        for field in message.fields:
            if field.name == b"via":
                self._field(field, context)

    def _field(self, field: Field, context: Context) -> None:
        value = field.value
        if not context.outbound and context.nat.public_ip.encode() not in value:
            return
        for place, end in reversed(sent_bys(value)):  # from the back, so that offsets stay true
            text = translate(place, context, "via")
            if text is None:
                continue
            if b"received" in value or b"rport=" in value or b"maddr" in value:
                self._parameters(field, place.end, end, context)
            field.replace(place.start, place.end, text)

    def _parameters(self, field: Field, start: int, end: int, context: Context) -> None:
        if context.outbound:
            own, other = context.inside, context.outside
        else:
            own, other = context.outside, context.inside
        for name, at, stop in reversed(list(parameter_spans(field.value, start, end))):
            value = field.value[at:stop]
            if name in (b"received", b"maddr") and value == own.ip.encode():
                field.replace(at, stop, other.ip.encode())
            elif name == b"rport" and value == b"%d" % own.port:
                field.replace(at, stop, b"%d" % other.port)


@dataclass(frozen=True)
class TranslateRequestUri:
    """Translate the Request-URI: what an outside server calls is the phone's public address (RFC 3261 8.2.2.1)."""

    def apply(self, message: SipMessage, context: Context) -> None:
        if not has_address(message.start_line):
            return
        uri = message.request_uri
        for place in uris(uri)[:1]:
            text = translate(place, context, "uri")
            if text is not None:
                message.request_uri = uri[: place.start] + text + uri[place.end :]


@dataclass(frozen=True)
class TranslateUris:
    """Translate every sip: URI in these headers, all values of all fields (RFC 3261 7.3.1)."""

    headers: tuple[str, ...] = LOCATION_HEADERS

    def apply(self, message: SipMessage, context: Context) -> None:
        wanted = _encoded(self.headers)
        public = context.nat.public_ip.encode()
        for field in message.fields:
            if field.name not in wanted:
                continue
            if not (has_address(field.raw) if context.outbound else public in field.raw):
                continue
            for place in reversed(uris(field.value)):
                text = translate(place, context, "uri")
                if text is not None:
                    field.replace(place.start, place.end, text)


@dataclass(frozen=True)
class TranslateIdentity:
    """Translate addresses in From and To, and undo it within the dialog (RFC 3261 12.1).

    A URI with a port is a place and is translated as one. One without is a name, whose
    address is exchanged alone and remembered by Call-ID.
    """

    def apply(self, message: SipMessage, context: Context) -> None:
        public = context.nat.public_ip
        for field in message.fields:
            if field.name not in _IDENTITY or not has_address(field.raw):
                continue
            for place in reversed(uris(field.value)):
                host = place.host.decode("latin-1")
                if place.port is not None:
                    text = translate(place, context, "identity")
                elif context.outbound:
                    if not context.is_inside(host):
                        continue
                    text = public.encode()
                    self._names(context)[message.value(b"call-id")] = place.host
                else:
                    known = self._names(context).get(message.value(b"call-id"))
                    text = known if host == public else None
                if text is not None:
                    field.replace(place.start, place.end, text)

    def _names(self, context: Context) -> dict[bytes, bytes]:
        names: dict[bytes, bytes] = context.remember(self, dict)
        if len(names) > 4096:
            del names[next(iter(names))]
        return names


@dataclass(frozen=True)
class HoldRegistration:
    """Keep the way in open for as long as the registrar grants a binding (RFC 3261 10.3).

    Runs on the 200 to a REGISTER, after its Contacts have been translated to inside
    addresses. A challenge leaves what is open open.
    """

    def apply(self, message: SipMessage, context: Context) -> None:
        if context.outbound or message.status is None or not 200 <= message.status < 300:
            return
        if message.method != b"REGISTER":
            return
        default = message.value(b"expires")
        granted = int(default) if default.isdigit() else 0
        held: dict[Endpoint, float] = {}
        for field in message.all(b"contact"):
            for place in uris(field.value):
                contact = Endpoint(place.bare_host.decode("latin-1"), place.port or DEFAULT_PORT)
                if context.is_inside(contact.ip):
                    held[contact] = _expires_after(field.value, place.end, granted)
        for contact, lifetime in held.items():
            context.hold_registration(contact, lifetime)
        if context.inside not in held:  # de-registered: the answer lists it no more
            context.hold_registration(context.inside, 0)


def _expires_after(value: bytes, start: int, default: int) -> float:
    end = value.find(b",", start)
    for name, at, stop in parameter_spans(value, start, len(value) if end < 0 else end):
        if name == b"expires" and value[at:stop].isdigit():
            return float(value[at:stop][:9])
    return float(default)


@dataclass(frozen=True)
class FitContentLength:
    """Make Content-Length say the size of the body as it now is (RFC 3261 20.14)."""

    def apply(self, message: SipMessage, context: Context) -> None:
        message.fit_content_length()


_encodings: dict[tuple[str, ...], frozenset[bytes]] = {}


def _encoded(names: tuple[str, ...]) -> frozenset[bytes]:
    found = _encodings.get(names)
    if found is None:
        found = _encodings[names] = frozenset(name.lower().encode() for name in names)
    return found
