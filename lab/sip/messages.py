"""The messages that agents exchange: received (``Incoming``), composed (``Request``), replies.

The rules of this file:

- A received message is read once, in one pass; the parts that agents need are attributes.
- Composing is joining bytes. Replies copy the header lines of the request as they stand
  (RFC 3261 section 8.2.6.2), so that every change made on the way can be seen.
- Nothing here keeps state. The caches hold pure functions of wire bytes.
"""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from siplab.lab.sip.base import SipTransport
from siplab.lab.wire import headers
from siplab.lab.wire.headers import split_list
from siplab.lab.wire.ip import Endpoint, pack_ip
from siplab.lab.wire.remembered import remembered
from siplab.lab.wire.sip import Field, SipMessage

BRANCH_COOKIE: Final = b"z9hG4bK"
DEFAULT_PORT: Final = 5060
_PROTOCOLS: Final[dict[SipTransport, bytes]] = {
    "udp": b"SIP/2.0/UDP ",
    "tcp": b"SIP/2.0/TCP ",
    "tls": b"SIP/2.0/TLS ",
}
SDP_TYPE: Final = b"application/sdp"

REASONS: Final[dict[int, bytes]] = {
    100: b"Trying",
    180: b"Ringing",
    183: b"Session Progress",
    200: b"OK",
    202: b"Accepted",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    407: b"Proxy Authentication Required",
    408: b"Request Timeout",
    415: b"Unsupported Media Type",
    416: b"Unsupported URI Scheme",
    420: b"Bad Extension",
    423: b"Interval Too Brief",
    479: b"Unresolvable Destination",
    480: b"Temporarily Unavailable",
    481: b"Call/Transaction Does Not Exist",
    482: b"Loop Detected",
    483: b"Too Many Hops",
    486: b"Busy Here",
    487: b"Request Terminated",
    488: b"Not Acceptable Here",
    489: b"Bad Event",
    491: b"Request Pending",
    500: b"Server Internal Error",
    501: b"Not Implemented",
    503: b"Service Unavailable",
    603: b"Decline",
}

# Methods of the IANA registry: one of these that an endpoint does not offer is "not allowed"
# (405), any other is "not implemented" (501), RFC 3261 sections 8.2.1 and 21.5.2.
KNOWN_METHODS: Final = frozenset(
    b"ACK BYE CANCEL INFO INVITE MESSAGE NOTIFY OPTIONS PRACK PUBLISH REFER REGISTER SUBSCRIBE UPDATE".split()
)


ReplyTo = Literal["asked", "never", "always"]
"""When responses go to the source port. ``asked``: when Via has ``rport`` (RFC 3581 section 4). ``never``:
RFC 3261 itself has no such parameter. ``always``: ``rport`` is put into every Via."""


class Names(NamedTuple):
    """Spelling of the headers that have a compact form (RFC 3261 section 7.3.3), with ``": "``."""

    via: bytes
    from_: bytes
    to: bytes
    call_id: bytes
    contact: bytes
    content_type: bytes
    content_length: bytes


LONG_NAMES: Final = Names(
    b"Via: ", b"From: ", b"To: ", b"Call-ID: ", b"Contact: ", b"Content-Type: ", b"Content-Length: "
)
COMPACT_NAMES: Final = Names(b"v: ", b"f: ", b"t: ", b"i: ", b"m: ", b"c: ", b"l: ")
_AS_THEY_STAND: Final = Names(b"", b"", b"", b"", b"", b"", b"")


_remembered = remembered(2048, 192)

vias_in = _remembered(headers.vias)
"""``headers.vias``, remembered: a Via value is read again at every hop and in every reply. Read-only."""

tag_of = _remembered(headers.tag_of)
"""``headers.tag_of``, remembered."""

uri_of = _remembered(headers.parse_uri)
"""``headers.parse_uri``, remembered. Read-only."""

name_addr_of = _remembered(headers.name_addr)
"""``headers.name_addr``, remembered. Read-only."""


@_remembered
def address_text(host: bytes) -> str | None:
    """The address that a host is, as text without brackets; ``None`` for a host name."""
    try:
        text = (host[1:-1] if host[:1] == b"[" else host).decode("ascii")
        pack_ip(text)
    except (UnicodeDecodeError, OSError, ValueError):
        return None
    return text


def endpoint_at(host: bytes, port: int | None) -> Endpoint | None:
    """Host and port as an endpoint; ``None`` for a name or a port outside 1..65535."""
    ip = address_text(host)
    number = DEFAULT_PORT if port is None else port
    return Endpoint(ip, number) if ip is not None and 0 < number < 65536 else None


def protocol_of(transport: SipTransport) -> bytes:
    """How a Via begins: ``SIP/2.0/UDP`` and a space."""
    return _PROTOCOLS[transport]


def transport_parameter(transport: SipTransport) -> bytes:
    """The URI parameter that asks others to use that transport: none for UDP (RFC 3261 section 19.1.1).

    For TLS it is the one that RFC 2543 had and phones still write, instead of ``sips:``.
    """
    return b"" if transport == "udp" else b";transport=" + transport.encode()


def transport_of(uri: bytes) -> SipTransport:
    """The transport that a URI asks for."""
    found = uri_of(uri)
    asked = found.parameters.get(b"transport", b"").lower() if found is not None else b""
    return "tcp" if asked == b"tcp" else "tls" if asked == b"tls" else "udp"


@lru_cache(maxsize=2048)
def hostport(endpoint: Endpoint) -> bytes:
    """``host:port`` as it stands in a URI or a Via."""
    return str(endpoint).encode("ascii")


def token(rng: random.Random) -> bytes:
    """64 random bits in hex: tags, branches, Call-IDs, nonces (RFC 3261 section 19.3 asks for 32)."""
    return b"%016x" % rng.getrandbits(64)


def line_of(field: Field, name: bytes = b"") -> bytes:
    """The field as a header line that ends in CRLF, spelled ``name`` (with ``": "``) if given."""
    if name:
        return name + field.value + b"\r\n"
    raw = field.raw
    return raw if raw[-2:] == b"\r\n" else raw.rstrip(b"\r\n") + b"\r\n"


class Incoming:
    """A received message, read once.

    ``status`` is 0 for a request; ``method`` is the request's, for a response the one in its
    CSeq; both are empty if the message is not SIP. ``heads`` has the first field of each
    canonical name. Absent or unreadable parts are ``b""``, -1 (``cseq``) or ``None`` (``via``).
    """

    __slots__ = (
        "call_id",
        "cseq",
        "from_tag",
        "heads",
        "local",
        "message",
        "method",
        "reply_to",
        "source",
        "status",
        "to_tag",
        "transport",
        "uri",
        "via",
    )

    def __init__(
        self, message: SipMessage, source: Endpoint, local: Endpoint, transport: SipTransport = "udp"
    ) -> None:
        self.transport = transport
        self.message = message
        self.source = source
        self.local = local
        self.reply_to: Endpoint | None = None
        self.heads = heads = {
            field.name: field for field in reversed(message.fields)
        }  # the first of each name
        self.call_id = heads[b"call-id"].value if b"call-id" in heads else b""
        self.from_tag = tag_of(heads[b"from"].value) if b"from" in heads else b""
        self.to_tag = tag_of(heads[b"to"].value) if b"to" in heads else b""
        found = vias_in(heads[b"via"].value) if b"via" in heads else None
        self.via: headers.Via | None = found[0] if found else None
        self.cseq = -1
        method = b""
        if b"cseq" in heads:
            words = heads[b"cseq"].value.split()
            if len(words) == 2 and words[0].isdigit() and len(words[0]) <= 10:
                self.cseq, method = int(words[0]), words[1]
        self.status = 0
        self.uri = b""
        line = message.start_line
        if line[:4].upper() == b"SIP/":
            fast = line[:8] == b"SIP/2.0 " and line[11:12] == b" " and line[8:11].isdigit()
            self.status = int(line[8:11]) if fast else message.status or 0
            if self.status < 100:  # a response that can't be read is not SIP
                self.status, method = 0, b""
        else:
            words = line.split()
            if len(words) == 3 and words[2] == b"SIP/2.0":
                method, self.uri = words[0], words[1]
            else:
                method, self.uri = message.method, message.request_uri
        self.method: bytes = method

    def value(self, name: bytes) -> bytes:
        """Value of the first field of that canonical name, else ``b""``."""
        field = self.heads.get(name)
        return field.value if field is not None else b""

    def values(self, name: bytes) -> list[bytes]:
        """The comma-separated values of all fields of that canonical name, in order."""
        if name not in self.heads:
            return []
        found: list[bytes] = []
        for field in self.message.fields:
            if field.name == name:
                value = field.value
                found += [value[start:end].strip() for start, end in split_list(value)]
        return found

    @property
    def body(self) -> bytes:
        """The body, without what lies beyond Content-Length (RFC 3261 section 18.3)."""
        body = self.message.body
        length = self.heads.get(b"content-length")
        if length is not None and length.value.isdigit():
            return body[: int(length.value[:9])]
        return body

    def stamp_via(self, rport: ReplyTo = "asked", *, wrap: bool = False) -> None:
        """Note in the topmost Via where a request came from, and set ``reply_to``.

        ``received`` is added (RFC 3261 section 18.2.1) when sent-by is not the source address, and
        whenever ``rport`` is filled in. The argument ``rport`` says when that is, see ``ReplyTo``.
        ``reply_to`` stays ``None`` when no Via can be read or its port can't be sent to. ``wrap``: the
        port in Via is taken modulo 65536.
        """
        via = self.via
        if via is None:
            return
        field = self.heads[b"via"]
        source = self.source
        wants_rport = rport == "always" or (rport == "asked" and b"rport" in via.parameters)
        if wants_rport:
            self.reply_to = source
            _set_parameter(field, via, b"rport", b"%d" % source.port)
        elif self.transport != "udp":  # section 18.2.2: the connection that it came by
            self.reply_to = source
        else:
            port = DEFAULT_PORT if via.sent_by.port is None else via.sent_by.port
            port = port % 65536 if wrap else port
            self.reply_to = Endpoint(source.ip, port) if 0 < port < 65536 else None
        if wants_rport or b"received" in via.parameters or address_text(via.sent_by.host) != source.ip:
            _set_parameter(field, vias_in(field.value)[0], b"received", source.ip.encode())

    def __repr__(self) -> str:
        return f"<Incoming {self.message.start_line.rstrip()!r} from {self.source}>"


def _set_parameter(field: Field, via: headers.Via, name: bytes, value: bytes) -> None:
    """Give the first Via of ``field`` a parameter; it replaces one of the same name."""
    if name in via.parameters:
        for each, start, end in headers.parameter_spans(field.value, via.sent_by.end, via.end):
            if each == name:
                equals = b"" if field.value[start - 1 : start] == b"=" else b"="
                field.replace(start, end, equals + value)
                return
    field.replace(via.end, via.end, b";" + name + b"=" + value)


def response(
    request: Incoming,
    status: int,
    *,
    reason: bytes = b"",
    to_tag: bytes = b"",
    headers: bytes = b"",
    body: bytes = b"",
    names: Names = LONG_NAMES,
) -> bytes:
    """A response to ``request`` (RFC 3261 section 8.2.6), as bytes.

    Via, From, To, Call-ID and CSeq are the request's lines, in that order, spelled anew only for
    compact ``names``; ``to_tag`` is added to a To without one. ``headers`` are whole lines;
    Content-Length is added. What the request lacks, the response lacks.
    """
    spelling = _AS_THEY_STAND if names is LONG_NAMES else names
    parts = [b"SIP/2.0 %d " % status, reason or REASONS.get(status, b"Unknown"), b"\r\n"]
    for field in request.message.fields:
        if field.name == b"via":
            parts.append(line_of(field, spelling.via))
    heads = request.heads
    if b"from" in heads:
        parts.append(line_of(heads[b"from"], spelling.from_))
    if b"to" in heads:
        to = heads[b"to"]
        if to_tag and not request.to_tag:
            parts += (spelling.to or to.raw[: to.value_offset], to.value, b";tag=", to_tag, b"\r\n")
        else:
            parts.append(line_of(to, spelling.to))
    if b"call-id" in heads:
        parts.append(line_of(heads[b"call-id"], spelling.call_id))
    if b"cseq" in heads:
        parts.append(line_of(heads[b"cseq"]))
    parts += (headers, names.content_length, b"%d\r\n\r\n" % len(body), body)
    return b"".join(parts)


class Request:
    """A request that an agent sends, with the parts that its ACK and CANCEL repeat.

    ``via`` is the value of the topmost Via; ``routes`` the Route lines; ``wire`` the
    whole message. Build one with ``compose``, or directly around bytes that are ready.
    """

    __slots__ = (
        "branch",
        "call_id",
        "cseq",
        "from_",
        "from_tag",
        "method",
        "names",
        "routes",
        "sent_by",
        "to",
        "uri",
        "via",
        "wire",
    )

    def __init__(
        self,
        method: bytes,
        uri: bytes,
        *,
        sent_by: Endpoint,
        branch: bytes,
        via: bytes,
        from_: bytes,
        from_tag: bytes,
        to: bytes,
        call_id: bytes,
        cseq: int,
        routes: bytes = b"",
        names: Names = LONG_NAMES,
        wire: bytes = b"",
    ) -> None:
        self.method = method
        self.uri = uri
        self.sent_by = sent_by
        self.branch = branch
        self.via = via
        self.from_ = from_
        self.from_tag = from_tag
        self.to = to
        self.call_id = call_id
        self.cseq = cseq
        self.routes = routes
        self.names = names
        self.wire = wire

    def compose(self, headers: bytes = b"", body: bytes = b"", *, hops: int = 70) -> Request:
        """Set ``wire`` from the parts; ``headers`` are whole lines, Content-Length is added.

        ``hops``: how many proxies it may pass (Max-Forwards).
        """
        names = self.names
        self.wire = b"".join(
            (
                self.method,
                b" ",
                self.uri,
                b" SIP/2.0\r\n",
                names.via,
                self.via,
                b"\r\nMax-Forwards: %d\r\n" % hops,
                self.routes,
                names.from_,
                self.from_,
                b"\r\n",
                names.to,
                self.to,
                b"\r\n",
                names.call_id,
                self.call_id,
                b"\r\nCSeq: %d " % self.cseq,
                self.method,
                b"\r\n",
                headers,
                names.content_length,
                b"%d\r\n\r\n" % len(body),
                body,
            )
        )
        return self

    def _like(self, method: bytes, to: bytes) -> Request:
        return Request(
            method,
            self.uri,
            sent_by=self.sent_by,
            branch=self.branch,
            via=self.via,
            from_=self.from_,
            from_tag=self.from_tag,
            to=to,
            call_id=self.call_id,
            cseq=self.cseq,
            routes=self.routes,
            names=self.names,
        ).compose()

    @property
    def transport(self) -> SipTransport:
        """The transport that its Via names (RFC 3261 section 18.1.1)."""
        return next((each for each, begin in _PROTOCOLS.items() if self.via.startswith(begin)), "udp")

    def ack(self, to: bytes) -> bytes:
        """The ACK to a non-2xx final response with that To value (RFC 3261 section 17.1.1.3)."""
        return self._like(b"ACK", to).wire

    def cancel(self) -> Request:
        """The CANCEL of this request (RFC 3261 section 9.1)."""
        return self._like(b"CANCEL", self.to)
