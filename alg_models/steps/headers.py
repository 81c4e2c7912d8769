"""Steps that translate addresses in header fields and in the Request-URI."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from siplab.alg_models.steps.addresses import DEFAULT_PORT, translate
from siplab.lab.gateway.alg import Context
from siplab.lab.wire.headers import (
    HostPort,
    has_address,
    name_addr,
    parameter_spans,
    sent_bys,
    split_list,
    uris,
)
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import Field, SipMessage

# Every header of RFC 3261 and its extensions whose URI is a place to send requests to.
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
_DEFAULT_EXPIRES: Final = 3600.0  # seconds, when the registrar names none
_LIMIT: Final = 4096  # entries; messages make them, so there must be a bound


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
        parameters = b"received" in value or b"rport=" in value or b"maddr" in value
        edits: list[tuple[int, int, bytes]] = []
        for place, end in reversed(sent_bys(value)):
            text = translate(place, context, "via")
            if parameters:
                edits += self._parameters(value, place, end, context)
            if text is not None:
                edits.append((place.start, place.end, text))
        field.replace_all(edits)

    def _parameters(
        self, value: bytes, place: HostPort, end: int, context: Context
    ) -> Iterator[tuple[int, int, bytes]]:
        """Translate ``received`` and ``rport`` together: the source that the next hop saw (RFC 3581 4)."""
        spans = list(parameter_spans(value, place.end, end))
        found = {name: value[at:stop] for name, at, stop in spans}
        host = found.get(b"received") or place.host
        port = found.get(b"rport", b"")
        seen = Endpoint(
            host.decode("latin-1"), int(port[:6]) if port.isdigit() else place.port or DEFAULT_PORT
        )
        there = context.public(seen) if context.outbound else context.private(seen)
        if context.outbound:
            own, other = context.inside.ip, context.outside.ip
        else:
            own, other = context.outside.ip, context.inside.ip
        for name, at, stop in reversed(spans):
            if name == b"maddr" and found[name] == own.encode():
                yield at, stop, other.encode()
            elif there is not None and name == b"received" and stop > at:
                yield at, stop, there.ip.encode()
            elif there is not None and name == b"rport" and stop > at:
                yield at, stop, b"%d" % there.port


@dataclass(frozen=True)
class TranslateRequestUri:
    """Translate the Request-URI: outside servers send requests to the public address (RFC 3261 8.2.2.1)."""

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
            found = [(place, translate(place, context, "uri")) for place in reversed(uris(field.value))]
            field.replace_all((place.start, place.end, text) for place, text in found if text is not None)


ALL_URIS: Final = TranslateUris()
URIS_BUT_CONTACT: Final = TranslateUris(tuple(name for name in LOCATION_HEADERS if name != "contact"))


@dataclass(frozen=True)
class TranslateIdentity:
    """Translate addresses in From and To, and undo it within the dialog (RFC 3261 12.1).

    A URI with a port is a place, and is translated as one. A URI without a port is a name: its
    address is translated without a port, and remembered by Call-ID and user.
    """

    def apply(self, message: SipMessage, context: Context) -> None:
        public = context.nat.public_ip
        for field in message.fields:
            if field.name not in _IDENTITY or not has_address(field.raw):
                continue
            value, edits = field.value, []
            for place in reversed(uris(value)):
                host = place.host.decode("latin-1")
                name = (message.value(b"call-id"), _user_before(value, place.start))
                if place.port is not None:
                    text = translate(place, context, "identity")
                elif context.outbound:
                    if not context.is_inside(host):
                        continue
                    text = public.encode()
                    self._names(context)[name] = place.host
                else:
                    text = self._names(context).get(name) if host == public else None
                if text is not None:
                    edits.append((place.start, place.end, text))
            field.replace_all(edits)

    def _names(self, context: Context) -> dict[tuple[bytes, bytes], bytes]:
        names: dict[tuple[bytes, bytes], bytes] = context.remember(self, dict)
        if len(names) > _LIMIT:
            del names[next(iter(names))]
        return names


def _user_before(value: bytes, host: int) -> bytes:
    """Scheme and user of the URI whose host begins at ``host``."""
    return value[max(value.rfind(b"sip", 0, host), 0) : host]


@dataclass(frozen=True)
class HoldRegistration:
    """Keep a pinhole open for as long as the registrar grants a registration (RFC 3261 10.3).

    Runs on the 200 to a REGISTER, after its Contacts have been translated to inside
    addresses. A challenge does not close pinholes.
    """

    def apply(self, message: SipMessage, context: Context) -> None:
        if context.outbound or message.status is None or not 200 <= message.status < 300:
            return
        if message.method != b"REGISTER":
            return
        granted = _seconds(message.value(b"expires"), _DEFAULT_EXPIRES)
        aor = name_addr(message.value(b"to")).uri
        held: dict[Endpoint, float] = {}
        for field in message.all(b"contact"):
            for start, end in split_list(field.value):
                value = field.value[start:end]
                for place in uris(value)[:1]:
                    contact = Endpoint(place.bare_host.decode("latin-1"), place.port or DEFAULT_PORT)
                    if context.is_inside(contact.ip):
                        lifetime = _seconds(name_addr(value).parameters.get(b"expires", b""), granted)
                        held[contact] = max(lifetime, held.get(contact, 0.0))
        known: dict[tuple[Endpoint, bytes], tuple[Endpoint, ...]] = context.remember(self, dict)
        before = known.pop((context.inside, aor), ())
        for contact in before:
            if contact not in held:  # de-registered: the answer no longer lists it
                context.hold_registration(contact, 0, aor)
        for contact, lifetime in held.items():
            context.hold_registration(contact, lifetime, aor)
        if held:
            if len(known) >= _LIMIT:
                del known[next(iter(known))]
            known[context.inside, aor] = tuple(held)


def _seconds(value: bytes, default: float) -> float:
    return float(value[:9]) if value.isdigit() else default


@dataclass(frozen=True)
class EndBody:
    """Leave bytes behind the body as they are: they are not part of the message (RFC 3261 18.3)."""

    def apply(self, message: SipMessage, context: Context) -> None:
        if message.body:
            message.end_body()


@dataclass(frozen=True)
class FitContentLength:
    """Set Content-Length to the size of a body that the ALG has changed (RFC 3261 20.14).

    A length that was wrong before stays wrong: the ALG does not repair the sender's mistake.
    """

    def apply(self, message: SipMessage, context: Context) -> None:
        if message.body != message.original_body:
            message.fit_content_length()


_encodings: dict[tuple[str, ...], frozenset[bytes]] = {}


def _encoded(names: tuple[str, ...]) -> frozenset[bytes]:
    found = _encodings.get(names)
    if found is None:
        found = _encodings[names] = frozenset(name.lower().encode() for name in names)
    return found
