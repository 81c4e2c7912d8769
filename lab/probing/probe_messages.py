"""Probes: SIP messages as a phone sends them, with content that an ALG may rewrite.

Every probe names the phone's own address where phones do (Via, Contact, Call-ID, SDP) and where phones do
not. ``X-Local`` has it in plain form, for ALGs that replace an address wherever it stands. ``X-Source`` has
it in a form that no search finds. A session description has a second stream, RTCP and an ICE candidate.
"""

from __future__ import annotations

import re
from typing import Final

from siplab.lab.sip.messages import Incoming, hostport, name_addr_of
from siplab.lab.wire.ip import Endpoint

DOMAIN: Final = b"lab.test"
RTP_PORT: Final = 49170
_OBFUSCATED: Final = re.compile(rb"^([0-9a-f*.%]+)#(\d{1,5})$")


def obfuscated(endpoint: Endpoint) -> bytes:
    """An endpoint in a form that no router recognises as an address: ``192*168*1*102#5060``."""
    return endpoint.ip.replace(".", "*").replace(":", "%").encode() + b"#%d" % endpoint.port


def clear(value: bytes) -> Endpoint | None:
    """The endpoint in such a text; ``None`` if there is none."""
    found = _OBFUSCATED.match(value)
    if found is None:
        return None
    return Endpoint(found[1].decode().replace("*", ".").replace("%", ":"), int(found[2]))


def description(local: Endpoint, version: int = 1, *, direction: bytes = b"", filler: int = 0) -> bytes:
    """A session description with audio and video, RTCP and a candidate.

    ``filler``: how many bytes of attributes to add, for messages that do not fit into one packet.
    """
    family = b"IP6" if ":" in local.ip else b"IP4"
    ip = local.ip.encode()
    lines = [
        b"v=0",
        b"o=probe 1 %d IN %b %b" % (version, family, ip),
        b"s=-",
        b"c=IN %b %b" % (family, ip),
        b"t=0 0",
        b"m=audio %d RTP/AVP 0 8" % RTP_PORT,
        b"a=rtcp:%d IN %b %b" % (RTP_PORT + 1, family, ip),
        b"a=candidate:1 1 UDP 2130706431 %b %d typ host" % (ip, RTP_PORT),
    ]
    if direction:
        lines.append(b"a=" + direction)
    lines += [b"m=video %d RTP/AVP 96" % (RTP_PORT + 4), b"c=IN %b %b" % (family, ip)]
    while filler > 0:
        lines.append(b"a=x-filler:" + b"x" * min(filler, 60))
        filler -= 73
    return b"\r\n".join(lines) + b"\r\n"


def request(
    method: bytes,
    mark: bytes,
    local: Endpoint,
    *,
    headers: bytes = b"",
    body: bytes = b"",
    contact: bytes = b"",
    uri: bytes = b"",
    user: bytes = b"probe",
    number: int = 1,
) -> bytes:
    """A request outside any dialog. ``contact``: a value that replaces the usual Contact."""
    own = hostport(local)
    to = user if method == b"REGISTER" else b"witness"
    if not uri:
        uri = b"sip:" + DOMAIN if method == b"REGISTER" else b"sip:witness@" + DOMAIN
    dialog = b"From: <sip:%b@%b>;tag=%b\r\nTo: <sip:%b@%b>\r\nCall-ID: %b@%b\r\nCSeq: %d %b\r\n" % (
        user, DOMAIN, mark, to, DOMAIN, mark, _bare(local), number, method,
    )  # fmt: skip
    contact = contact or b"<sip:%b@%b>" % (user, own)
    return _message(method, uri, mark, local, dialog, headers, contact, body)


def within(
    method: bytes,
    mark: bytes,
    local: Endpoint,
    invite: bytes,
    answer: Incoming | None,
    number: int,
    *,
    headers: bytes = b"",
    body: bytes = b"",
) -> bytes:
    """A request in the dialog of ``invite``, to the Contact of its answer if there is one."""
    dialog_mark = re.search(rb";tag=(q[0-9a-f]{11})", invite)
    tag = dialog_mark[1] if dialog_mark else mark
    to, uri = b"<sip:witness@%b>" % DOMAIN, b"sip:witness@" + DOMAIN
    if answer is not None:
        to = answer.value(b"to") or to
        uri = name_addr_of(answer.value(b"contact")).uri or uri
    dialog = b"From: <sip:probe@%b>;tag=%b\r\nTo: %b\r\nCall-ID: %b@%b\r\nCSeq: %d %b\r\n" % (
        DOMAIN, tag, to, tag, _bare(local), number, method,
    )  # fmt: skip
    contact = b"<sip:probe@%b>" % hostport(local)
    return _message(method, uri, mark, local, dialog, headers, contact, body)


def odd_invite(mark: bytes, local: Endpoint) -> bytes:
    """An INVITE with the usual content in unusual, but legal, form (RFC 3261 sections 7.3.1, 7.3.3, 25.1)."""
    own, body = hostport(local), description(local)
    return (
        b"INVITE sip:witness@%b SIP/2.0\r\n"
        b"v:  SIP / 2.0 / UDP  %b ;rport ;branch=z9hG4bK%b\r\n"
        b"max-forwards: 70\r\n"
        b'f: "Contact: <sip:%b>" <sip:probe@%b>;tag=%b\r\n'
        b"t: <sip:witness@%b>\r\n"
        b"i: %b@%b\r\n"
        b"CSEQ:   1  INVITE\r\n"
        b"m:\r\n <sip:probe@%b>;q=0.5,\r\n <sip:probe@%b;transport=udp>\r\n"
        b"X-Via: SIP/2.0/UDP %b\r\n"
        b"X-Local: %b\r\n"
        b"c: application/sdp\r\n"
        b"l: %d\r\n\r\n"
        % (DOMAIN, own, mark, own, DOMAIN, mark, DOMAIN, mark, _bare(local), own, own, own, own, len(body))
    ) + body


def _bare(local: Endpoint) -> bytes:
    return local.ip.encode()


def _message(
    method: bytes,
    uri: bytes,
    mark: bytes,
    local: Endpoint,
    dialog: bytes,
    headers: bytes,
    contact: bytes,
    body: bytes,
) -> bytes:
    own = hostport(local)
    typed = b"Content-Type: application/sdp\r\n" if body else b""
    return b"".join(
        (
            b"%b %b SIP/2.0\r\n" % (method, uri),
            b"Via: SIP/2.0/UDP %b;rport;branch=z9hG4bK%b\r\n" % (own, mark),
            b"Max-Forwards: 70\r\n",
            dialog,
            b"" if method in (b"ACK", b"BYE") else b"Contact: %b\r\n" % contact,
            headers,
            b"X-Source: %b\r\n" % obfuscated(local),
            b"X-Local: %b\r\n" % own,
            b"User-Agent: siplab-probe\r\n",
            typed,
            b"Content-Length: %d\r\n\r\n" % len(body),
            body,
        )
    )
