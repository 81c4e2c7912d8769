"""Messages of any size whose shape costs a careless reader quadratic time, and all readers of messages.

``make bench`` measures how the readers' time grows with the size. The tests run every reader on every shape
with 60,000 bytes, with a limit on its CPU time. A datagram has at most 65,507 bytes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Final

from siplab.alg_models import catalogue, samples
from siplab.experiments.captures import Datagram
from siplab.experiments.captures.pairing import pair
from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.sides import Side
from siplab.lab.media import session
from siplab.lab.phone.phone import Phone, PhoneConfig
from siplab.lab.probing import probe_wire, public_clients, stream_mirror
from siplab.lab.probing.detection_server import DetectionServer
from siplab.lab.server.server import ServerConfig, SipServer
from siplab.lab.sip import digest
from siplab.lab.wire import compare, headers, ip, sdp, sip, syntax
from siplab.lab.wire.ip import Endpoint

Shape = Callable[[int], bytes]
Reader = Callable[[bytes], object]

_HEADERS: Final = {
    b"Via": b"SIP/2.0/UDP 192.168.1.20:5060;branch=z9hG4bK1;rport",
    b"Max-Forwards": b"70",
    b"From": b"<sip:alice@lab.test>;tag=1",
    b"To": b"<sip:bob@lab.test>",
    b"Call-ID": b"a84b4c76@192.168.1.20",
    b"CSeq": b"1 INVITE",
    b"Contact": b"<sip:alice@192.168.1.20:5060>",
}
_BODY: Final = (
    b"v=0\r\no=- 1 1 IN IP4 192.168.1.20\r\ns=-\r\n"
    b"c=IN IP4 192.168.1.20\r\nt=0 0\r\nm=audio 49170 RTP/AVP 0\r\n"
)


def message(
    *,
    start: bytes = b"INVITE sip:bob@lab.test SIP/2.0",
    lines: bytes = b"",
    body: bytes = _BODY,
    **fields: bytes,
) -> bytes:
    """An INVITE. ``fields``: new values of its headers; ``lines``: additional header lines."""
    named = {name.replace("_", "-").encode(): value for name, value in fields.items()}
    rows = [name + b": " + value for name, value in {**_HEADERS, **named}.items()]
    typed = b"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n" % len(body)
    return start + b"\r\n" + b"\r\n".join(rows) + b"\r\n" + lines + typed + body


def _of(unit: bytes) -> Shape:
    return lambda size: unit * (size // len(unit))


def _numbered(unit: bytes) -> Shape:
    """A shape that repeats the unit, each time with another number."""
    return lambda size: b"".join(unit % number for number in range(size // (len(unit) + 3)))


def _value(name: str, unit: bytes, before: bytes = b"") -> Shape:
    return lambda size: message(**{name: before + _of(unit)(size)})


def _lines(fill: Shape) -> Shape:
    return lambda size: message(lines=fill(size))


def _body(fill: Shape) -> Shape:
    return lambda size: message(body=_BODY + fill(size))


SHAPES: Final[dict[str, Shape]] = {
    # quoted strings that never close
    "backslashes behind a quote": _value("Contact", b"\\", b'"'),
    "escaped quotes behind a quote": _value("From", b'"\\'),
    "parameters with unclosed quotes": _value("Contact", b';a="\\', b"<sip:a@b>"),
    "Via parameters with unclosed quotes": _value("Via", b';a="\\', b"SIP/2.0/UDP a"),
    "digest parameters with unclosed quotes": _value("Authorization", b'a="\\,', b"Digest "),
    "quotes": _value("To", b'"'),
    "a quote that closes at the end": lambda size: message(Contact=_of(b';a="\\')(size) + b'"'),
    # URIs in URIs
    "sip:sip:": _value("Contact", b"sip:"),
    "sip:sip: before an at-sign": lambda size: message(Contact=_of(b"sip:")(size) + b"@["),
    "sip:a@sip:a@": _value("From", b"sip:a@"),
    "a host of hyphens": _value("Contact", b"-", b"<sip:a"),
    "a host of labels": _value("Contact", b"a.", b"<sip:"),
    "an address without end": _value("Contact", b"1.", b"<sip:"),
    "open brackets": _value("Contact", b"sip:[:"),
    "percent signs": _value("Contact", b"%4", b"<sip:"),
    "a long Request-URI": lambda size: message(start=b"INVITE " + _of(b"sip:")(size) + b" SIP/2.0"),
    "blanks in the start line": lambda size: message(start=b"INVITE" + _of(b" ")(size) + b"\t"),
    "a start line of words": lambda size: message(start=_of(b"SIP/2.0 ")(size)),
    # lists and brackets
    "commas": _value("Contact", b","),
    "semicolons": _value("Via", b";", b"SIP/2.0/UDP a"),
    "angles": _value("Route", b"<"),
    "closed angles": _value("Route", b"<>"),
    "contacts": _value("Contact", b"<sip:a@192.168.1.20>,"),
    "Via values": _value("Via", b"SIP/2.0/UDP 192.168.1.20,"),
    "parameters": lambda size: message(Contact=b"<sip:a@b>" + _numbered(b";p%d=1")(size)),
    "words of a display name": _value("From", b"a "),
    "blanks in a display name": _value("From", b" ", b"a"),
    "digits": _value("CSeq", b"1"),
    "letters of a digest": _value("Authorization", b"a", b"Digest "),
    "marks": lambda size: message(Subject=b"".join(b"q%011x" % at for at in range(size // 12))),
    # lines
    "headers of other names": _lines(_numbered(b"X%d: a\r\n")),
    "headers of one name": _lines(_of(b"Via: SIP/2.0/UDP 192.168.1.20\r\n")),
    "contacts that are stars": _lines(_of(b"m: *\r\n")),
    "addresses in headers of other names": _lines(_numbered(b"X%d: 192.168.1.20\r\n")),
    "lines without a colon": _lines(_of(b"a\r\n")),
    "colons": _lines(_of(b":\r\n")),
    "folds": lambda size: message(Subject=b"a" + _of(b"\r\n ")(size) + b"a"),
    "lone CRs": _lines(_of(b"a: b\r")),
    "empty lines before it": lambda size: _of(b"\r\n")(size) + message(),
    "messages in one": _of(b"OPTIONS a SIP/2.0\r\nl: 0\r\n\r\n"),
    # bodies
    "media lines": _body(_of(b"m=audio 1 RTP/AVP 0\r\n")),
    "session lines and media lines": lambda size: message(
        body=b"v=0\r\n" + _of(b"a=x\r\n")(size // 2) + _of(b"m=audio 1 RTP/AVP 0\r\n")(size // 2)
    ),
    "formats and their names": lambda size: message(
        body=_BODY.removesuffix(b"0\r\n")
        + b" ".join(b"%d" % at for at in range(size // 25))
        + b"\r\n"
        + _numbered(b"a=rtpmap:%d x/8000\r\n")(size // 2)
    ),
    "candidates": _body(_of(b"a=candidate:1 1 UDP 1 192.168.1.20 1 typ host\r\n")),
    "addresses in a body": _body(_of(b"192.168.1.20 ")),
    "origins": _body(_of(b"o=- 1 1 IN IP4 192.168.1.20\r\n")),
}  # fmt: skip


# -- readers ---------------------------------------------------------------------------------------

_INSIDE: Final = samples.PHONE
_OUTSIDE: Final = samples.REGISTRAR
_USUAL: Final = message()
_HIDDEN: Final = b"INVITE sip:a SIP/2.0\r\nP-AL-SA: 1*1*1*1#1\r\n"


def _values(wire: bytes) -> None:
    for field in sip.SipMessage.parse(wire).fields:
        value = field.value
        for read in (
            headers.vias, headers.uris, headers.name_addr, headers.parameters, headers.cseq,
            headers.parse_uri, headers.sent_bys, headers.has_address, headers.tag_of, digest.parameters,
        ):  # fmt: skip
            read(value)


def _stream(wire: bytes) -> None:
    """Read the message as it arrives over TCP, in segments."""
    buffer = b""
    for at in range(0, len(wire), 1400):
        buffer += wire[at : at + 1400]
        while True:
            whole, buffer = stream_mirror.next_message(buffer)
            if not whole:
                break


def _description(wire: bytes) -> None:
    body = wire.partition(b"\r\n\r\n")[2]
    bytes(sdp.Sdp.parse(body))
    try:
        session.read(body, ("audio",))
    except session.MediaError:
        return


def _phone(wire: bytes) -> None:
    config = PhoneConfig(
        ip=_INSIDE.ip,
        sip_port=5060,
        user="bob",
        password="x",  # noqa: S106
        domain="lab.test",
        server=_OUTSIDE,
    )
    phone = Phone(config, random.Random(1))
    phone.start(0.0)
    phone.receive(wire, _OUTSIDE, _INSIDE, 1.0)


def _server(wire: bytes) -> None:
    server = SipServer(ServerConfig(domain="lab.test", users={"bob": "x"}, ip=_OUTSIDE.ip), random.Random(1))
    server.start(0.0)
    server.receive(wire, _INSIDE, _OUTSIDE, 1.0)


def _detection_server(wire: bytes) -> None:
    server = DetectionServer(_OUTSIDE.ip, (5060,), b"x" * 32)
    server.start(0.0)
    for port in (5060, 7077):
        server.receive(wire[:4096], _INSIDE, Endpoint(_OUTSIDE.ip, port), 1.0)


def _gateway(model: Model) -> Reader:
    def cross(wire: bytes) -> None:
        gateway = samples.gateway_for(model)
        gateway.handle(ip.udp(_INSIDE, _OUTSIDE, wire), Side.INSIDE, 0.0)
        gateway.handle(ip.udp(_OUTSIDE, samples.PUBLIC, wire), Side.OUTSIDE, 0.1)

    return cross


def _pairing(wire: bytes) -> object:
    """Pair the message with a nearly equal one, as on the two sides of a router."""
    sent = Datagram(0.0, "inside", _INSIDE, _OUTSIDE, wire)
    return pair([sent], [sent._replace(now=0.1, payload=wire[:-3])], complete=True)


READERS: Final[dict[str, Reader]] = {
    "message": lambda wire: bytes(sip.SipMessage.parse(wire)),
    "header values": _values,
    "rules": lambda wire: syntax.check(sip.SipMessage.parse(wire)),
    "first broken rule": lambda wire: syntax.first_fatal(sip.SipMessage.parse(wire)),
    "comparison": lambda wire: (compare.differences(_USUAL, wire), compare.differences(wire, wire[:-3])),
    "stream": _stream,
    "description": _description,
    "marks": lambda wire: (probe_wire.marks_of(wire), probe_wire.kind_of(wire)),
    "phone": _phone,
    "server": _server,
    "detection server": _detection_server,
    "public clients": lambda wire: (
        public_clients.mirror_answers(wire, _INSIDE, _OUTSIDE),
        public_clients.hidden_source_answer(_HIDDEN + wire, _INSIDE, _OUTSIDE),
    ),
    "pairing of captures": _pairing,
}  # fmt: skip


def models() -> Iterator[tuple[str, Reader]]:
    """For each model of the catalogue, a router that reads a message from both sides."""
    for model in catalogue.load():
        yield f"model {model.id}", _gateway(model)
