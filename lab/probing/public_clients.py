"""The server side of the protocols of two published detection clients.

*The Base64 mirror*: an INVITE to the user ``sip-alg-detector-daemon`` gets two answers: a 180 whose body is
the Base64 of the request line and headers as they arrived, and a 500 with that of the body. The client joins
and compares them. Both answers name a server that it knows.

*The hidden source*: a request has ``P-AL-SA: 192*168*1*102#5060``, the client's own endpoint in a form that
no router recognises as an address. The server compares it with the addresses in the message. It answers with
``P-AL-Result`` (a text for the user) and ``P-AL-SA`` (the source of the request). ``P-AL-Delay`` asks for
that many seconds of silence before the answer.

The rules of this file: it accepts any bytes; answers are bytes for the source of the request; it has no
state.
"""

from __future__ import annotations

import base64
import re
import zlib
from typing import Final

from siplab.lab.probing.probe_messages import clear, obfuscated
from siplab.lab.sip.messages import Incoming, address_text, name_addr_of, response, uri_of
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

MIRROR_USER: Final = b"sip-alg-detector-daemon"
_MIRROR_NAME: Final = b"Server: SipAlgDetectorDaemon\r\n"
_MIRROR_LINE: Final = re.compile(rb"INVITE sips?:" + MIRROR_USER + rb"@", re.IGNORECASE)
_HIDDEN: Final = re.compile(rb"(?im)^P-AL-SA\s*:")
LONGEST_DELAY: Final = 600.0  # seconds
PASS: Final = b"Pass"
FAILED: Final = b"Failed. SIP ALG Detected"


def is_mirror_request(payload: bytes) -> bool:
    """Whether this is a request for the Base64 mirror."""
    return _MIRROR_LINE.match(payload) is not None


def is_hidden_source_request(payload: bytes) -> bool:
    """Whether this is a request with a hidden source."""
    return payload[:4] != b"SIP/" and _HIDDEN.search(payload) is not None


def mirror_answers(payload: bytes, source: Endpoint, local: Endpoint) -> list[bytes]:
    """The 180 and the 500, in that order."""
    head, empty, body = payload.partition(b"\r\n\r\n")
    tag = b"%08x" % zlib.crc32(payload)
    answers = []
    for status, reason, part in (
        (180, b"Headers", head + empty),
        (500, b"Body", body),
    ):
        probe = Incoming(SipMessage.parse(payload), source, local)
        probe.stamp_via()
        text = base64.b64encode(part)
        answers.append(response(probe, status, reason=reason, to_tag=tag, headers=_MIRROR_NAME, body=text))
    return answers


def hidden_source_answer(payload: bytes, source: Endpoint, local: Endpoint) -> tuple[bytes, float] | None:
    """The answer, and its delay in seconds; ``None`` if the hidden source can't be read."""
    probe = Incoming(SipMessage.parse(payload), source, local)
    own = clear(probe.value(b"p-al-sa").strip())
    if own is None or not probe.method or probe.method == b"ACK":
        return None
    delay = probe.value(b"p-al-delay").strip()[:6]
    seconds = min(float(delay), LONGEST_DELAY) if delay.isdigit() else 0.0
    lines = b"P-AL-Result: %b\r\nP-AL-SA: %b\r\n" % (
        FAILED if _is_changed(probe, own) else PASS,
        obfuscated(source),
    )
    probe.stamp_via()
    return response(probe, 200, to_tag=b"%08x" % zlib.crc32(payload), headers=lines), seconds


def _is_changed(probe: Incoming, own: Endpoint) -> bool:
    """Whether Via or Contact has another endpoint than the client's, or the body another address."""
    if probe.via is None or address_text(probe.via.sent_by.host) != own.ip:
        return True
    if probe.via.sent_by.port not in (None, own.port):
        return True
    contact = probe.value(b"contact")
    uri = uri_of(name_addr_of(contact).uri) if contact else None
    if uri is not None and (address_text(uri.host), uri.port or own.port) != tuple(own):
        return True
    address = own.ip.encode()
    named: list[bytes] = re.findall(rb"(?m)^[oc]=.*IN IP[46] (\S+)", probe.message.body)
    return any(each != address for each in named)
