"""A mirror over TCP or TLS: its answers, and what a client learns from them. Bytes in, bytes out.

An answer has, as Base64 that no router reads, the request as it arrived, and the answer's own start line and
headers as they were sent. So one exchange shows the changes in both directions.

The rules of this file: only a request with a probe's mark gets an answer. A stream is cut into messages by
RFC 3261 section 18.3.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from dataclasses import dataclass
from typing import Final

from siplab.lab.probing.probe_messages import description, request
from siplab.lab.probing.probe_wire import find_marks
from siplab.lab.sip.messages import Incoming, hostport, response
from siplab.lab.wire.compare import differences
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage, split_stream

_NAME: Final = b"Server: siplab-witness\r\nContent-Type: application/octet-stream\r\n"
METHODS: Final = (b"REGISTER", b"INVITE", b"MESSAGE")


def is_probe(wire: bytes) -> bool:
    """Whether a message is a request with a probe's mark."""
    return wire[:4].upper() != b"SIP/" and b"SIP/2.0" in wire[:512] and bool(find_marks(wire))


def mirrored(wire: bytes, source: Endpoint, local: Endpoint) -> bytes:
    """The answer to a probe."""
    probe = Incoming(SipMessage.parse(wire), source, local)
    probe.stamp_via()
    contact = b"Contact: <sip:witness@%b>\r\n" % hostport(local)
    tag = b"%08x" % zlib.crc32(wire)
    head = response(probe, 200, to_tag=tag, headers=_NAME + contact)
    request_text = base64.b64encode(wire)
    end = b"Content-Length: 0\r\n\r\n"
    # The length always has six digits, so the body, which has a copy of it, has a known size.
    size = len(head) - len(end) + len(b"Content-Length: 000000\r\n\r\n")
    length = len(request_text) + 2 + (size + 2) // 3 * 4
    head = head.removesuffix(end) + b"Content-Length: %06d\r\n\r\n" % length
    return head + request_text + b"\r\n" + base64.b64encode(head)


def probes(local: Endpoint, transport: bytes, marks: tuple[bytes, ...]) -> list[bytes]:
    """Requests for a mirror, one for each of ``METHODS``. ``transport``: ``TCP`` or ``TLS``."""
    wires = []
    for method, mark in zip(METHODS, marks, strict=True):
        body = description(local) if method == b"INVITE" else b""
        wire = request(method, mark, local, body=body)
        wires.append(wire.replace(b"Via: SIP/2.0/UDP ", b"Via: SIP/2.0/%b " % transport, 1))
    return wires


@dataclass(frozen=True)
class Reflection:
    """What one exchange showed: the names of the parts changed on the way there, and on the way back."""

    method: str
    there: tuple[str, ...] = ()
    back: tuple[str, ...] = ()

    @property
    def changed(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.there, *self.back)))


def next_message(buffer: bytes) -> tuple[bytes, bytes]:
    """The first whole message of a stream, and the rest; an empty message if none is complete."""
    at = 0
    for piece, complete in split_stream(buffer):
        if not complete:
            break
        at += len(piece)
        if piece.strip(b"\r\n\0 "):
            return piece, buffer[at:]
    return b"", buffer[at:]


def reflection(sent: bytes, answer: bytes) -> Reflection:
    """Compare a probe and its answer with the copies of both in the answer's body."""
    method = sent.partition(b" ")[0].decode()
    head, empty, body = answer.partition(b"\r\n\r\n")
    copies = body.split(b"\r\n")
    try:
        seen, said = (base64.b64decode(each, validate=True) for each in copies)
    except (ValueError, binascii.Error):
        return Reflection(method, back=("body",))
    return Reflection(method, tuple(differences(sent, seen)), tuple(differences(said, head + empty)))
